"""What a phone is answered when it has said one of the words of `keywords`: texts as data, each of
one segment in GSM 03.38."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.sms.keywords import ENGLISH, PhoneWord

_TEXTS: Final[Mapping[str, Mapping[PhoneWord, str]]] = {
    ENGLISH: {
        PhoneWord.STOP: "You will get no more messages from us. Reply START to get them again.",
        PhoneWord.START: "You will get our messages again. Reply STOP to get no more of them.",
        PhoneWord.HELP: "Reply STOP to get no more messages from us, START to get them again.",
    },
    "fr": {
        PhoneWord.STOP: "Vous ne recevrez plus nos messages. Pour les recevoir à nouveau, répondez"
        " START.",
        PhoneWord.START: "Vous recevrez à nouveau nos messages. Pour ne plus les recevoir, répondez"
        " STOP.",
        PhoneWord.HELP: "Répondez STOP pour ne plus recevoir nos messages, START pour les recevoir"
        " à nouveau.",
    },
    "de": {
        PhoneWord.STOP: "Sie erhalten keine Nachrichten mehr von uns. Mit der Antwort START"
        " erhalten Sie wieder welche.",
        PhoneWord.START: "Sie erhalten wieder Nachrichten von uns. Mit der Antwort STOP erhalten"
        " Sie keine mehr.",
        PhoneWord.HELP: "Mit der Antwort STOP erhalten Sie keine Nachrichten mehr von uns, mit"
        " START wieder welche.",
    },
    "es": {
        PhoneWord.STOP: "Ya no recibe mensajes nuestros. Responda START para recibirlos de nuevo.",
        PhoneWord.START: "Recibe de nuevo nuestros mensajes. Responda STOP para no recibirlos.",
        PhoneWord.HELP: "Responda STOP para no recibir mensajes nuestros, START para recibirlos de"
        " nuevo.",
    },
}


def text_of(word: str, language: str) -> str | None:
    """The answer to a word, in English where it is not known in this language; None to what is no
    word here, as a later release may know more."""
    texts = _TEXTS.get(language, _TEXTS[ENGLISH])
    return texts[PhoneWord(word)] if word in texts else None
