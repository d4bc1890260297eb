"""A function and its arguments as bytes, made by any Python interpreter that has this package.

For places outside of this process: what is sent there, what is done there, and what comes back. It
must import quickly.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from llmorch.declare.text import is_a
from llmorch.places.failure import Raised, described, raised
from llmorch.places.iterators import awaited, awaits, items_of, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmorch.declare.functions import Function

    Asked = tuple[Callable[..., Any], Mapping[str, Any], bool, bool, Callable[[Any], object] | None]


def packed(function: Function, args: Mapping[str, Any]) -> bytes:
    """What ``made`` takes. Raises ``CallError`` for what can't be sent to another process."""
    from llmorch.errors import CallError
    from llmorch.places.by_value import dumps
    from llmorch.places.files import LOADED_FILES

    asked: Asked = function.call, args, function.is_batch, function.keeps_iterator, function.show
    try:
        # What lives in files that were loaded by path is found there by the same names.
        return pickle.dumps((dict(LOADED_FILES), dumps(asked)))
    except Exception as error:
        text, detail = described(error)
        raise CallError(
            f"{function.name} can't be sent to another process: {text}; pass plain data", detail=detail
        ) from None


def made(sent: bytes) -> bytes:
    """Call the function, over there. Whatever happens is in what is returned."""
    from llmorch.places.by_value import dumps
    from llmorch.places.files import register
    from llmorch.places.shown import shown

    try:
        files, asked = pickle.loads(sent)
        register(files)
        target, args, batch, keeps, show = pickle.loads(asked)
    except BaseException as error:
        return pickle.dumps((None, raised(error)))
    result, failure = called(target, args, batch=batch, keeps=keeps)
    if failure is None and show is not None:
        result = shown(result, show, batch=batch)
    try:
        return dumps((result, failure), worker=True)
    except Exception as error:
        return pickle.dumps((None, raised(error)))


def unpacked(came: bytes) -> Any:
    """What the function returned. Raises ``CallError`` for what it raised, or what can't be read here."""
    from llmorch.places.as_one import error_of

    try:
        result, failure = pickle.loads(came)
    except Exception as error:
        failure = raised(error)
    if failure is not None:
        raise error_of(failure)
    return result


def called(
    target: Callable[..., Any], args: Mapping[str, Any], *, batch: bool, keeps: bool
) -> tuple[Any, Raised | None]:
    """What a function comes to where nothing else runs, or the exception that it raised."""
    failure = None

    async def wait() -> Any:
        nonlocal failure
        try:
            found = await awaited(result, batch=batch)
            found = found if keeps else listed(found, batch=batch)
            return await awaited(found, batch=batch) if batch else found
        except BaseException as error:  # here, where the traceback holds nothing of asyncio
            failure = raised(error)

    try:
        result = target(**args)
        if not awaits(result) and not keeps:
            result = listed(result, batch=batch)
        if awaits(result, batch=batch):
            import asyncio

            result = asyncio.run(wait())
        if batch and is_a(result, (list, tuple)):
            result = [raised(item) if is_a(item, BaseException) else item for item in items_of(result)]
    except BaseException as error:
        return None, raised(error)
    return result, failure
