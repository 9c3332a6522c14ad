"""The sections of a task's state, as bytes.

Models are pickled, as River's are. Everything else is MessagePack of declared types: reading it runs nothing that a
file could choose, what is of another type is refused, and 100,000 items take milliseconds.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MODELS: Final = "models"

_PLAIN: Final[Mapping[str, Any]] = {
    # next offset, first offset, records applied, and the chain's base, pending links and their number
    "progress": tuple[int, int, int, tuple[bytes, bytes, int]],
    # the newest day, and by item the level, when it was observed, and the newest day of its events
    "ledger": tuple[int, dict[str, tuple[int | None, int, int]]],
    "identities": bytes,
    "invalid": list[int],
}
SECTIONS: Final = (*_PLAIN, MODELS)

_encode: Final = msgspec.msgpack.Encoder().encode
_decoders: Final = {name: msgspec.msgpack.Decoder(kind) for name, kind in _PLAIN.items()}


def encode_state(state: Mapping[str, Any]) -> dict[str, bytes]:
    """Return a task's state as named sections."""
    return {name: pickle.dumps(part, protocol=5) if name == MODELS else _encode(part) for name, part in state.items()}


def decode_state(sections: Mapping[str, bytes], unpickle: Callable[[bytes], Any]) -> dict[str, Any]:
    """Return the state of these sections; such as a later version adds are left out.

    Args:
        sections: as `encode_state` returned them.
        unpickle: reads the pickle of the models; what it raises comes out.

    Raises:
        ValueError: a plain section is not of its type.
    """
    state = {}
    for name, section in sections.items():
        if name == MODELS:
            state[name] = unpickle(section)
        elif name in _decoders:
            try:
                state[name] = _decoders[name].decode(section)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"section {name!r} is not of its type: {error}") from error
    return state
