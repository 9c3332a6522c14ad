"""A model as its pickle holds it: that, and nothing else, is its state."""

from __future__ import annotations

import pickle
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from consumer.learning.regressor import Regressor


class Pickled(NamedTuple):
    """What came of pickling a model.

    Attributes:
        data: the pickle.
        objects: every object that the pickler came by, in its order; one that is referred to twice stands there twice.
    """

    data: bytes
    objects: list[Any]

    def name(self, index: int) -> str:
        """Return the attribute or key that holds an object, empty where none does, as in a list.

        A key is visited just before its value, in a dictionary and so in an object's attributes.
        """
        before = self.objects[index - 1] if index > 0 else None
        return before if type(before) is str else ""

    def digest(self) -> str:
        """Return a digest of all values and classes, the same in every process that builds the same model.

        They are sorted, since the order of a set of strings follows the process's hash seed.
        """
        tokens = sorted(self._token(index, each) for index, each in enumerate(self.objects))
        return sha256("\n".join(tokens).encode(errors="surrogatepass")).hexdigest()

    def _token(self, index: int, each: object) -> str:
        if isinstance(each, str):
            return repr(each)
        if each is None or type(each) in {bool, int, float}:
            return f"{self.name(index)}={each!r}"
        if isinstance(each, bytes | bytearray | pickle.PickleBuffer):
            return bytes(each).hex()
        kind = each if isinstance(each, type | FunctionType | BuiltinFunctionType) else type(each)
        return f"{kind.__module__}.{kind.__qualname__}"


class _Sink(list[bytes]):
    """What a pickler writes to."""

    write = list.append


def pickled(model: Regressor) -> Pickled:
    """Pickle a model, and note what it consists of."""
    objects: list[Any] = []
    sink = _Sink()
    pickler = pickle.Pickler(sink, protocol=5)
    # Asked for each object whether it has an identity outside the pickle: `append` notes it and says None, for no.
    pickler.persistent_id = objects.append  # type: ignore[method-assign]
    pickler.dump(model)
    return Pickled(b"".join(sink), objects)
