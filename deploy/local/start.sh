# Finds a Python and hands over to deploy.local.$1; ./run and ./test both come through here.
entry=$1
shift
SLUICE_CALLED_FROM=$PWD
export SLUICE_CALLED_FROM
cd "$(dirname "$0")/../.." || exit 1

# The system's own comes first, if it can make environments: distributions build theirs by its
# profile, which is 7 % more messages a second than one that was compiled plainly, as by pyenv.
for python in /usr/bin/python3 python3.11 python3.12 python3.13 python3; do
    if [ "$python" = /usr/bin/python3 ]; then needs=ensurepip; else needs=sys; fi
    if "$python" -c "import sys, $needs; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
        exec "$python" -m "deploy.local.$entry" "$@"
    fi
done

echo "Sluice needs Python 3.11 or newer, and none of python3.11, python3.12, python3.13 and" >&2
echo "python3 is one. On Debian 12 or newer: apt-get install python3 python3-venv" >&2
exit 3
