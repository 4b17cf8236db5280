"""A private RabbitMQ with a port mapper of its own: everything said through its environment."""

from __future__ import annotations

import os
import shutil
import socket
import time

from deploy.local import binaries, place, processes, screen

_USER = "sluice"
_START_SECONDS = 90.0
_STOP_SECONDS = 15.0
_FORGET_SECONDS = 5.0
_MAPPER_SECONDS = 10.0

# Erlang's own notation: the newer one costs three seconds of every start to translate.
_SETTINGS = """\
[{{rabbit, [
    {{tcp_listeners, [{{"127.0.0.1", {port}}}]}},
    {{default_user, <<"{user}">>}},
    {{default_pass, <<"{password}">>}},
    {{default_vhost, <<"/">>}},
    {{vm_memory_high_watermark, {{absolute, 1000000000}}}},
    {{disk_free_limit, 50000000}}
]}}].
"""


class Rabbitmq:
    """One private node and the port mapper (epmd) that Erlang wants beside it."""

    name = binaries.RABBITMQ

    def __init__(self, where: place.Place) -> None:
        self.process = processes.Process(self.name, where.folder)
        self._mapper = processes.Process(f"{self.name}-epmd", where.folder)
        self._place = where
        self._folder = where.data / self.name
        self._port = where.port(self.name)
        self._password = where.password(self.name)
        self._node_port = where.port(f"{self.name}_node")
        self._mapper_port = where.port(f"{self.name}_epmd")

    @property
    def url(self) -> str:
        """Where it is, with the password and the virtual host `/`."""
        return f"amqp://{_USER}:{self._password}@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start both and wait until the node takes AMQP connections."""
        program = binaries.find(self.name)
        if program is None:
            raise screen.Stop("RabbitMQ is not installed.", screen.EXIT_UNAVAILABLE)
        self._place.make_folder(self.name)
        environ = {**self._place.environ(self._folder), **program.environ, **self._environ()}
        self._start_mapper(environ)
        self._write_settings()
        self.process.start([program.path("rabbitmq-server")], environ, self._place.account)
        self.process.await_ready(self._answers, _START_SECONDS)

    def _start_mapper(self, environ: dict[str, str]) -> None:
        # Left to itself Erlang would start one in the background that nobody stops.
        if not self._mapper.has_ended():
            return
        epmd = shutil.which("epmd", path=environ["PATH"])
        if epmd is None:
            raise screen.Stop("Erlang's epmd is not on PATH.", screen.EXIT_UNAVAILABLE)
        argv = [epmd, "-port", str(self._mapper_port), "-address", "127.0.0.1"]
        self._mapper.start(argv, environ, self._place.account)
        self._mapper.await_ready(self._mapper_answers, _MAPPER_SECONDS)

    def _mapper_answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._mapper_port), 1.0).close()
        except OSError:
            return False
        return True

    def _write_settings(self) -> None:
        settings = _SETTINGS.format(port=self._port, user=_USER, password=self._password)
        self._place.write(self._folder / "rabbitmq.config", settings)
        self._place.write(self._folder / "enabled_plugins", "[].\n")
        # Erlang would make one up itself, from a weak source of chance.
        self._place.write(self._folder / ".erlang.cookie", self._place.password("erlang_cookie"))

    def _environ(self) -> dict[str, str]:
        return {
            # A real host name may not resolve, and changing it would lose the data.
            "RABBITMQ_NODENAME": "sluice@localhost",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self._folder / "generated"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The script then becomes the node instead of a shell around it: one pid to signal.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": self._erlang_options(),
        }

    def _erlang_options(self) -> str:
        schedulers = min(os.cpu_count() or 2, 4)
        return (
            f"+S {schedulers}:{schedulers} +sbwt none +sbwtdcpu none +sbwtdio none "
            "-kernel inet_dist_use_interface {127,0,0,1}"
        )

    def stop(self) -> None:
        """End the node in good order, then its port mapper."""
        self.process.stop(_STOP_SECONDS)
        self._mapper.kill()

    def abandon(self) -> None:
        """End both at once."""
        self.process.kill()
        self._mapper.kill()

    def forget(self) -> None:
        """Delete all it stored: queues, messages, users. It must not be running."""
        data = self._folder / "data"
        deadline = time.monotonic() + _FORGET_SECONDS
        while data.exists() and time.monotonic() < deadline:
            shutil.rmtree(data, ignore_errors=True)

    def _answers(self) -> bool:
        """Tell whether it opens AMQP 0-9-1 with a Connection.Start frame."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), 1.0) as link:
                link.sendall(b"AMQP\x00\x00\x09\x01")
                return link.recv(1) == b"\x01"
        except OSError:
            return False
