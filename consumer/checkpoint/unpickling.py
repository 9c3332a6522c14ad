"""The one way in which state comes out of a pickle: read first, then run with nothing but admitted names.

Unpickling runs what the file names. The digest and the signature say who wrote it; this says what it may do at most, so
that a stolen key or an unsigned store is no way into the process. What stays: a file that passes may take some hundred
times its size in memory, and may hold numbers that make a model useless.
"""

from __future__ import annotations

import contextlib
import io
import pickle
from functools import cache
from typing import TYPE_CHECKING, Any

from consumer.checkpoint.admitted import Admitted, UnsafePickleError
from consumer.checkpoint.pickle_program import check
from consumer.checkpoint.pickle_shape import Shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from consumer.learning.model_sections import Section

__all__ = ["Admitted", "Pickles", "UnsafePickleError", "decode_sections", "is_rust_panic", "safe_loads"]


class _Unpickler(pickle.Unpickler):
    """Python's unpickler, with the admitted names only."""

    def __init__(self, data: bytes, find: Callable[[str, str], Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._find = find

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 -- what it names
        """Return the class or function of a name."""
        return self._find(module, name)


class Pickles:
    """Reads many pickles, of which those that differ in nothing but numbers are walked through once.

    Args:
        admitted: what they may name.
    """

    def __init__(self, admitted: Admitted) -> None:
        self._admitted = admitted
        self._find = cache(lambda module, name: admitted.find(module, name).what)
        self._checked = Shapes()
        self._loaded = Shapes()

    def loads(self, data: bytes) -> Any:  # noqa: ANN401 -- whatever was pickled
        """Return the object of a pickle, as `safe_loads` does.

        Raises:
            UnsafePickleError: see there.
        """
        return _guarded(self._load, data)

    def check(self, data: bytes) -> None:
        """See that `loads` would return the object of a pickle; another one of the same shape has shown it for all.

        Raises:
            UnsafePickleError: it would not.
        """
        if data not in self._loaded:
            self.loads(data)
            self._loaded.add(data)

    def _load(self, data: bytes) -> Any:  # noqa: ANN401 -- whatever was pickled
        if data not in self._checked:
            check(data, self._admitted)
            self._checked.add(data)
        return _Unpickler(data, self._find).load()


def safe_loads(data: bytes, admitted: Admitted) -> Any:  # noqa: ANN401 -- whatever was pickled
    """Return the object of a pickle of protocol 4 or 5 that names nothing but what is admitted.

    Raises:
        UnsafePickleError: it names something else, does what Python's pickler never writes, or cannot be read. No other
            exception comes out, whatever the bytes.
    """
    return Pickles(admitted).loads(data)


def _guarded(load: Callable[[bytes], Any], data: bytes) -> Any:  # noqa: ANN401 -- what is loaded
    """Return what a pickle loads as; whatever that raises comes out as one error."""
    try:
        return load(data)
    except UnsafePickleError:
        raise
    except Exception as error:
        # Its text may hold what the file says.
        raise UnsafePickleError(f"the pickle cannot be read ({type(error).__name__})") from error
    except BaseException as error:
        if not is_rust_panic(error):
            raise
        raise UnsafePickleError("the pickle holds a state that River's compiled code refuses") from error


def is_rust_panic(error: BaseException) -> bool:
    """Tell whether River's compiled code gave up over a state that makes no sense; that is no `Exception`."""
    return type(error).__module__ == "pyo3_runtime"


def decode_sections(sections: Mapping[str, Section], admitted: Admitted) -> dict[str, Any]:
    """Return the state in a checkpoint's sections: models of what is admitted, everything else of its plain types.

    Raises:
        UnsafePickleError: the models may not be unpickled, or another section is not of its type.
    """
    from consumer.learning.state import decode_state  # noqa: PLC0415 -- brings River, which listing files does without

    with _refusals():
        return decode_state(sections, Pickles(admitted).loads)


def check_sections(sections: Mapping[str, Section], pickles: Pickles) -> None:
    """See that `decode_sections` would return a state; no two models are in memory at the same time.

    Raises:
        UnsafePickleError: it would not.
    """
    from consumer.learning.model_sections import MODEL_SECTIONS, MODELS, pickles_of  # noqa: PLC0415 -- likewise
    from consumer.learning.state import decode_state  # noqa: PLC0415 -- likewise

    with _refusals():
        decode_state({name: body for name, body in sections.items() if name not in MODEL_SECTIONS}, pickles.loads)
        if MODELS in sections:  # what is missing is for a restore to say, as of all sections
            for _, data in pickles_of(sections):
                pickles.check(data)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Let whatever a section is refused for come out as one error."""
    try:
        yield
    except UnsafePickleError as error:
        raise UnsafePickleError(f"section 'models': {error}") from error
    except ValueError as error:
        raise UnsafePickleError(str(error)) from error
