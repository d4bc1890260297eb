"""What a function is: its name, kind, parameters and schema, read from plain Python.

This module must not know how a function is called or where: it turns a Python callable
into a declaration, and checks values against that declaration.
"""

from __future__ import annotations

import inspect
import json
import keyword
import re
import typing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydantic import TypeAdapter

Kind = Literal["inout", "compute"]
F = TypeVar("F", bound="Callable[..., Any]")

SELF = "self"
_DECLARATION = "__llmorch_function__"
_PLAIN: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (float, int), bool: (bool,)}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function: its annotation, default and description."""

    name: str
    annotation: Any = Any
    required: bool = True
    default: Any = None
    description: str = ""

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        from pydantic import ConfigDict, PydanticUserError, TypeAdapter

        try:
            return TypeAdapter(self.annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # models and dataclasses bring their own configuration
            pass
        try:
            return TypeAdapter(self.annotation)
        except PydanticUserError as error:
            reason = str(error).split("\n", 1)[0]
            raise FunctionError(f"parameter {self.name}: its type can't be checked: {reason}") from None

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The parameter's JSON schema; empty where its type has none."""
        from pydantic.errors import PydanticInvalidForJsonSchema

        try:
            schema = self._adapter.json_schema()
        except PydanticInvalidForJsonSchema:
            schema = {}
        if self.description:
            schema = schema | {"description": self.description}
        if not self.required and isinstance(self.default, str | int | float | bool):
            if self.default in (float("inf"), float("-inf")) or self.default != self.default:
                schema = {name: value for name, value in schema.items() if name != "default"}  # not JSON
            else:
                schema = schema | {"default": self.default}
        return schema

    def check(self, literal: object) -> None:
        """Check a literal as JSON is checked: no text for a number, no number for text.

        Raises ``ValueError`` with a message of one line.
        """
        if type(literal) in _PLAIN.get(self.annotation, ()):
            return
        from pydantic import ValidationError

        try:
            self._adapter.validate_json(json.dumps(literal), strict=True)
        except ValidationError as error:
            raise ValueError(_first_reason(error)) from None
        except FunctionError:
            raise
        except Exception as error:  # a validator of the user's may raise anything
            raise ValueError(f"{type(error).__name__}: {error}") from None

    def accept(self, value: object) -> Any:
        """Check a value that has arrived and return it in the annotated type.

        Where that loses nothing a value is converted (``"12"`` to 12, a mapping to a
        nested model). Raises ``ValueError`` with a message of one line.
        """
        if type(value) in _PLAIN.get(self.annotation, ()) or self.annotation is Any:
            return value
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(_first_reason(error)) from None
        except FunctionError:
            raise
        except Exception as error:  # a validator of the user's may raise anything
            raise ValueError(f"{type(error).__name__}: {error}") from None


def _first_reason(error: Any) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = "".join(f"[{part!r}]" for part in first["loc"])
    return f"{where + ': ' if where else ''}{first['msg'][:1].lower()}{first['msg'][1:]}"


@dataclass(frozen=True)
class Function:
    """A function that a plan may call.

    ``kind`` is ``inout`` (waits on input and output) or ``compute`` (occupies a
    processor until it ends). ``declared`` tells whether somebody said so, or whether it
    was assumed. ``asks_model`` marks a function that returns a prompt, to which the
    run's model replies: the reply is the call's result. A generator yields prompts and
    receives the replies, and what it returns is the call's result. ``reads`` and
    ``writes`` are patterns of the names of things that a call touches, such as
    ``file:{path}``; ``effects`` is ``"unknown"`` where nobody can say.
    """

    name: str
    call: Callable[..., Any] = field(repr=False, compare=False)
    kind: Kind = "inout"
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    returns: Any = Any
    returns_description: str = ""
    timeout: float | None = None
    declared: bool = True
    asks_model: bool = False
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    effects: Literal["unknown"] | None = None

    @cached_property
    def is_async(self) -> bool:
        """Whether calling the function gives a coroutine."""
        call = self.call if inspect.isroutine(self.call) else getattr(self.call, "__call__", self.call)  # noqa: B004
        return inspect.iscoroutinefunction(inspect.unwrap(call))

    @cached_property
    def by_name(self) -> dict[str, Parameter]:
        """The parameters by their names."""
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Names of the parameters without a default."""
        return tuple(parameter.name for parameter in self.parameters if parameter.required)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the function's arguments, one object."""
        properties, definitions = {}, {}
        for parameter in self.parameters:
            schema = dict(parameter.schema)
            # A pointer such as #/$defs/Item begins at the root, which is this object.
            definitions.update(schema.pop("$defs", {}))
            properties[parameter.name] = schema
        return {
            "type": "object",
            "properties": properties,
            "required": list(self.required),
            "additionalProperties": False,
            **({"$defs": definitions} if definitions else {}),
        }

    @cached_property
    def signature(self) -> str:
        """The function as a model reads it: ``search(query: str, k: int = 500) -> str``."""
        shown = []
        for parameter in self.parameters:
            text = f"{parameter.name}: {_type_name(parameter.annotation)}"
            shown.append(text if parameter.required else f"{text} = {parameter.default!r}")
        result = "" if self.returns is Any else f" -> {_type_name(self.returns)}"
        return f"{self.name}({', '.join(shown)}){result}"


def _type_name(annotation: Any) -> str:
    if annotation is Any:
        return "any"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        fields = getattr(annotation, "model_fields", None)
        if fields:
            inner = ", ".join(f'"{name}": {_type_name(info.annotation)}' for name, info in fields.items())
            return f"{{{inner}}}"
        return "None" if annotation is type(None) else annotation.__name__
    if typing.get_origin(annotation) is typing.Annotated:
        base, *rest = typing.get_args(annotation)
        bounds = [str(item) for item in rest if not isinstance(item, str) and "(" in str(item)]
        name = _type_name(base)
        return f"{name} ({', '.join(bounds)})" if bounds and len(str(bounds)) < 80 else name
    return str(annotation).replace("typing.", "")


@overload
def function(call: F, /) -> F: ...
@overload
def function(
    *,
    kind: Kind | None = None,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    asks_model: bool = False,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    effects: Literal["unknown"] | None = None,
) -> Callable[[F], F]: ...
def function(
    call: F | None = None,
    /,
    *,
    kind: Kind | None = None,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    asks_model: bool = False,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    effects: Literal["unknown"] | None = None,
) -> F | Callable[[F], F]:
    """Offer a Python function to plans; the function itself stays as it is.

    ``kind`` is ``"inout"`` or ``"compute"``; without it a function is inout, and the
    run says so when a synchronous one turns out to spend its time on the CPU.
    ``timeout``, in seconds, stops a call that takes longer: an async function or a
    compute one (a thread can't be stopped). ``asks_model=True`` makes the function's
    result a prompt for the run's model, and the model's reply the call's result; written
    as a generator, the function yields prompts, receives the replies, and returns the result.

    ``reads=["file:{path}"]`` and ``writes=["account:{id}"]`` name what a call touches beside
    its result, with its arguments filled in and a trailing ``*`` for everything below. Calls
    of which one writes what the other touches keep the plan's order; all others run
    together. Without a declaration a function is pure; ``effects="unknown"`` keeps the
    order against every other call. A call that may change something starts only once the
    whole plan is known.

    The schema comes from the signature and the docstring (Google, NumPy or reST).
    Raises ``FunctionError`` for a function that can't be offered.
    """

    def declare(target: F) -> F:
        declaration = declaration_of(
            target,
            kind=kind,
            name=name,
            description=description,
            timeout=timeout,
            asks_model=asks_model,
            reads=reads,
            writes=writes,
            effects=effects,
        )
        try:
            setattr(target, _DECLARATION, declaration)
        except AttributeError:
            raise FunctionError(
                f"{declaration.name}: only functions written with def can be decorated"
            ) from None
        return target

    return declare if call is None else declare(call)


def declaration_of(
    call: Callable[..., Any],
    *,
    kind: Kind | None = None,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    asks_model: bool = False,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    effects: Literal["unknown"] | None = None,
) -> Function:
    """Read a callable's signature and docstring into a ``Function``."""
    import docstring_parser

    name = name or str(getattr(call, "__name__", type(call).__name__))
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise FunctionError(
            f"{name}: a function needs a plain name to be called by in a plan; give one by name="
        )
    if name == SELF:
        raise FunctionError("self: this name stands for the model itself; give another by name=")
    if kind not in (None, "inout", "compute"):
        raise FunctionError(f'{name}: kind is "inout" or "compute", not {kind!r}')
    if timeout is not None and not timeout > 0:
        raise FunctionError(f"{name}: timeout is a positive number of seconds, not {timeout!r}")
    doc = docstring_parser.parse(inspect.getdoc(call) or "")
    described = {parameter.arg_name: parameter.description or "" for parameter in doc.params}
    text = "\n\n".join(part for part in (doc.short_description, doc.long_description) if part)
    hints, signature = _annotations(call, name)
    parameters = tuple(_parameter(name, item, hints, described) for item in signature.parameters.values())
    declared = Function(
        name=name,
        call=call,
        kind=kind or "inout",
        description=text if description is None else description,
        parameters=parameters,
        returns=_returned(call, hints),
        returns_description=(doc.returns.description or "") if doc.returns else "",
        timeout=timeout,
        declared=kind is not None,
        asks_model=asks_model,
        reads=_patterns(name, "reads", reads, parameters),
        writes=_patterns(name, "writes", writes, parameters),
        effects=effects,
    )
    if effects not in (None, "unknown"):
        raise FunctionError(f'{name}: effects is "unknown" or left out, not {effects!r}')
    if effects == "unknown" and (reads or writes):
        raise FunctionError(f"{name}: effects are either unknown or said by reads and writes")
    if inspect.isasyncgenfunction(call) or (inspect.isgeneratorfunction(call) and not asks_model):
        raise FunctionError(f"{name}: a generator can't be offered; return a list")
    if timeout is not None and declared.kind == "inout" and not declared.is_async:
        raise FunctionError(
            f"{name}: a synchronous inout function runs on a thread, which can't be stopped after {timeout} s; "
            'make it async, or declare kind="compute" to run it in a process'
        )
    if asks_model and (declared.is_async or kind is not None):
        raise FunctionError(
            f"{name}: a function with asks_model=True is a plain def that returns or yields prompts; "
            "its kind is the model's"
        )
    return declared


def _patterns(
    name: str, which: str, patterns: Sequence[str], parameters: tuple[Parameter, ...]
) -> tuple[str, ...]:
    """The patterns, checked: names of things with parameters in braces and a star at the end at most."""
    known = {parameter.name for parameter in parameters}
    if isinstance(patterns, str) or not all(isinstance(item, str) and item for item in patterns):
        raise FunctionError(f'{name}: {which} is a list of names, as in ["file:{{path}}"]')
    for pattern in patterns:
        plain = re.sub(r"\{(\w+)\}", lambda found: "" if found.group(1) in known else found.group(), pattern)
        if "{" in plain or "}" in plain:
            raise FunctionError(
                f"{name}: {which}: braces in {pattern!r} hold a parameter's name: {', '.join(sorted(known))}"
            )
        if "*" in plain.removesuffix("*"):
            raise FunctionError(f"{name}: {which}: * can stand only at the end of {pattern!r}")
    return tuple(patterns)


def _annotations(call: Callable[..., Any], name: str) -> tuple[dict[str, Any], inspect.Signature]:
    try:
        signature = inspect.signature(call)
        target = call if inspect.isroutine(call) or isinstance(call, type) else type(call).__call__
        hints = typing.get_type_hints(getattr(target, "func", target), include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise FunctionError(f"{name}: its signature can't be read: {error}") from None
    return hints, signature


def _returned(call: Callable[..., Any], hints: dict[str, Any]) -> Any:
    """The annotation of a call's result; a generator's is what it returns at its end."""
    annotation = hints.get("return", Any)
    if not inspect.isgeneratorfunction(call):
        return annotation
    yields_sends_returns = typing.get_args(annotation)
    return yields_sends_returns[2] if len(yields_sends_returns) == 3 else Any


def _parameter(
    function_name: str, item: inspect.Parameter, hints: dict[str, Any], described: dict[str, str]
) -> Parameter:
    if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD, item.POSITIONAL_ONLY):
        raise FunctionError(
            f"{function_name}: parameter {item.name} takes no name; a plan passes every argument by its name"
        )
    required = item.default is item.empty
    return Parameter(
        name=item.name,
        annotation=hints.get(item.name, Any),
        required=required,
        default=None if required else item.default,
        description=described.get(item.name, ""),
    )


def declared_in(namespace: object) -> Function | None:
    """The declaration that ``@function`` left on an object, if there is one."""
    declaration = getattr(namespace, _DECLARATION, None)
    if not isinstance(declaration, Function) or not callable(namespace) or declaration.call is namespace:
        return declaration if isinstance(declaration, Function) else None
    if inspect.ismethod(namespace):  # the declaration knows nothing of the object
        return declaration_of(
            namespace,
            kind=declaration.kind if declaration.declared else None,
            name=declaration.name,
            description=declaration.description,
            timeout=declaration.timeout,
            asks_model=declaration.asks_model,
            reads=declaration.reads,
            writes=declaration.writes,
            effects=declaration.effects,
        )
    # A decorator above ours copied the declaration: what it made is what is called.
    return replace(declaration, call=namespace)


def as_functions(offered: Iterable[Callable[..., Any] | Function]) -> dict[str, Function]:
    """Functions by name, from declared functions and plain callables alike.

    Raises ``FunctionError`` when two have the same name.
    """
    functions: dict[str, Function] = {}
    for item in offered:
        declared = item if isinstance(item, Function) else declared_in(item) or declaration_of(item)
        if declared.name in functions:
            raise FunctionError(f"two functions are called {declared.name}; give one another name by name=")
        functions[declared.name] = declared
    return functions


def self_function(kind: Kind) -> Function:
    """The function ``self(prompt)``, which is always offered: it asks the model itself."""
    return Function(
        name=SELF,
        call=_prompt,
        kind=kind,
        description="Ask the language model itself, which reads text, compares, summarizes and writes.",
        parameters=(
            Parameter("prompt", str, description="What to do, with the results it needs, as in {s1}."),
        ),
        returns=str,
        asks_model=True,
    )


def _prompt(prompt: str) -> str:
    return prompt
