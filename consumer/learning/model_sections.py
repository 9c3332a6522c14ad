"""Models in a checkpoint: their scope keys, and the pickle of each one by itself.

`consumer.learning.state` has the layout. The pickles come in groups of `GROUP` models, each group at an index that it
keeps as long as nothing leaves, so that what lies between two cuts is the same bytes while none of its models changes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from typing_extensions import Buffer

    Section: TypeAlias = Buffer | Sequence[Buffer]
    """What a section holds: bytes, or a list of some that stand one after another, cut where the state wants it."""

MODELS: Final = "models"
LENGTHS: Final = "models.lengths"
PICKLES: Final = "models.pickles"
MODEL_SECTIONS: Final = (MODELS, LENGTHS, PICKLES)

GROUP: Final = 64
"""Some 80 KB of `linear` models: few enough that a group often stays as it is, enough that a digest for it is cheap."""

_ARRAY_32: Final = b"\xdd"  # MessagePack: an array, its length in 4 bytes, then what it holds
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_keys: Final = msgspec.msgpack.Decoder(list[str]).decode


class ModelSections:
    """The sections of models, which are put into them group by group."""

    def __init__(self) -> None:
        self._number = 0
        self._keys: list[bytes] = []
        self._lengths: list[bytes] = []
        self._groups: list[Buffer] = []

    def add(self, keys: Sequence[str], pickles: Sequence[bytes]) -> None:
        """Add the next models, by the keys of their scopes.

        Raises:
            OverflowError: a pickle is longer than 2**32 bytes.
        """
        self._number += len(keys)
        self._keys.append(b"".join(map(_encode, keys)))
        self._lengths.append(np.array([len(data) for data in pickles], "<u4").tobytes())
        self._groups.append(b"".join(pickles))

    def sections(self) -> dict[str, Section]:
        """Return the sections of all that were added."""
        beginning = _ARRAY_32 + self._number.to_bytes(4, "big")
        return {
            MODELS: b"".join([beginning, *self._keys]),
            LENGTHS: b"".join(self._lengths),
            PICKLES: self._groups,
        }


def model_sections(pickles: Mapping[str, bytes]) -> dict[str, Section]:
    """Return the sections of models, from their pickles by the keys of their scopes."""
    sections = ModelSections()
    sections.add(list(pickles), list(pickles.values()))
    return sections.sections()


def pickles_of(sections: Mapping[str, Section]) -> Iterator[tuple[str, bytes]]:
    """Yield each model's scope key and pickle; all that is not theirs is looked at before the first.

    Raises:
        ValueError: the sections are not of their types, or do not fit together.
    """
    try:
        keys = _decode_keys(joined(sections[MODELS]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refusal(MODELS, str(error)) from error
    if len(set(keys)) < len(keys):
        raise _refusal(MODELS, "expected each scope once; found one twice")
    for name in (LENGTHS, PICKLES):
        if name not in sections:
            raise _refusal(name, "it is missing")
    packed, pickles = memoryview(joined(sections[LENGTHS])), memoryview(joined(sections[PICKLES]))
    if packed.nbytes != 4 * len(keys):
        raise _refusal(LENGTHS, f"expected 4 bytes for each of {len(keys)} models; found {packed.nbytes}")
    ends = np.cumsum(np.frombuffer(packed, "<u4"), dtype=np.int64).tolist()
    if (ends[-1] if ends else 0) != pickles.nbytes:
        raise _refusal(PICKLES, f"expected {ends[-1] if ends else 0} bytes; found {pickles.nbytes}")
    return zip(keys, (bytes(pickles[start:end]) for start, end in pairwise([0, *ends])), strict=True)


def has_former_models(sections: Mapping[str, Section]) -> bool:
    """Tell whether the models are those of state format 2 or 3: one pickle of a dict."""
    return MODELS in sections and LENGTHS not in sections and PICKLES not in sections


def decoded_models(sections: Mapping[str, Section], unpickle: Callable[[bytes], Any]) -> dict[str, Any]:
    """Return the states of models by their scopes, and, but for a former format, their pickles as they are.

    Args:
        sections: with those of models.
        unpickle: reads a pickle; what it raises comes out.

    Raises:
        ValueError: the sections are not of their types.
    """
    if has_former_models(sections):
        return {MODELS: unpickle(bytes(joined(sections[MODELS])))}
    found = dict(pickles_of(sections))
    return {MODELS: {key: unpickle(data) for key, data in found.items()}, PICKLES: found}


def joined(section: Section) -> Buffer:
    """Return a section's bytes in one piece."""
    return b"".join(section) if isinstance(section, list) else section  # type: ignore[return-value]  # no Buffer is a list


def _refusal(name: str, why: str) -> ValueError:
    return ValueError(f"section {name!r} is not of its type: {why}")
