"""The one way in which state comes out of a pickle: read first, then run with nothing but admitted names.

Unpickling runs what the file names. The digest and the signature say who wrote it; this says what it may do at most, so
that a stolen key or an unsigned store is no way into the process. What stays: a file that passes may take some hundred
times its size in memory, and may hold numbers that make a model useless.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

from consumer.checkpoint.admitted import Admitted, UnsafePickleError
from consumer.checkpoint.pickle_program import check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

__all__ = ["Admitted", "UnsafePickleError", "decode_sections", "is_rust_panic", "safe_loads"]


class _Unpickler(pickle.Unpickler):
    """Python's unpickler, with the admitted names only."""

    def __init__(self, data: bytes, admitted: Admitted) -> None:
        super().__init__(io.BytesIO(data))
        self._admitted = admitted

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 -- what it names
        """Return the class or function of a name."""
        return self._admitted.find(module, name).what


def safe_loads(data: bytes, admitted: Admitted) -> Any:  # noqa: ANN401 -- whatever was pickled
    """Return the object of a pickle of protocol 4 or 5 that names nothing but what is admitted.

    Raises:
        UnsafePickleError: it names something else, does what Python's pickler never writes, or cannot be read. No other
            exception comes out, whatever the bytes.
    """
    try:
        check(data, admitted)
        return _Unpickler(data, admitted).load()
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


def decode_sections(sections: Mapping[str, Buffer], admitted: Admitted) -> dict[str, Any]:
    """Return the state in a checkpoint's sections: models of what is admitted, everything else of its plain types.

    Raises:
        UnsafePickleError: the models may not be unpickled, or another section is not of its type.
    """
    from consumer.learning.state import decode_state  # noqa: PLC0415 -- brings River, which listing files does without

    try:
        return decode_state(sections, lambda models: safe_loads(models, admitted))
    except UnsafePickleError as error:
        raise UnsafePickleError(f"section 'models': {error}") from error
    except ValueError as error:
        raise UnsafePickleError(str(error)) from error
