"""Classes as people define them in scripts: each is sent to a process, made there, and handed on.

Run as a script it prints what isn't the same afterwards.
"""
# ruff: noqa - classes as people write them, not as we do

import abc
import collections
import dataclasses
import enum
import functools
import json
import typing
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypedDict, TypeVar

import pydantic
import typing_extensions
from pydantic import BaseModel, ConfigDict, PrivateAttr, computed_field, field_validator
from pydantic.dataclasses import dataclass as model_dataclass

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

T = TypeVar("T")
MADE = {}


def case(make):
    MADE[make.__name__] = make
    return make


def same_fields(one, other):
    return type(one) is type(other) and vars(one) == vars(other)


# The classes begin here.
class Plain:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is type(self) and other.x == self.x

    def double(self):
        return Plain(self.x * 2)


@case
def plain():
    return Plain(1).double()


class Sub(Plain):
    def double(self):
        return super().double()


@case
def subclass():
    s = Sub(3)
    s.double()
    return s


@dataclass
class Pair:
    left: int
    right: list = field(default_factory=list)


@case
def pair():
    return Pair(1, [2])


@dataclass(frozen=True)
class Frozen:
    x: int = 3


@case
def frozen():
    return Frozen(4)


@case
def key_of_dict():
    return {Frozen(4): {Frozen(5)}}


@dataclass(slots=True)
class Slotted:
    x: int
    y: list = field(default_factory=list)


@case
def slotted():
    return Slotted(1, [2])


@dataclass(slots=True, frozen=True, kw_only=True)
class Tight(Frozen):
    z: str = "z"


@case
def tight():
    return Tight(x=1, z="q")


@dataclass(slots=True, weakref_slot=True)
class Deeper(Slotted):
    w: float = 0.5


@case
def deeper():
    return dataclasses.replace(Deeper(1), w=3)


@dataclass(order=True)
class WithInit:
    x: int
    big: dataclasses.InitVar[int] = 3
    y: int = field(init=False, default=0)
    k: typing.ClassVar[int] = 7
    _: dataclasses.KW_ONLY
    z: int = 0

    def __post_init__(self, big):
        self.y = self.x + big + self.k


@case
def post_init():
    return WithInit(1, z=4)


class Bare:
    __slots__ = ("x", "__hidden")

    def __init__(self, x):
        self.x = x
        self.__hidden = x + 1

    def __eq__(self, other):
        return (type(other), other.x, other.__hidden) == (type(self), self.x, self.__hidden)


@case
def bare_slots():
    return Bare(1)


class BareSub(Bare):
    __slots__ = ("y",)

    def __init__(self, x):
        super().__init__(x)
        self.y = x


@case
def inherited_slots():
    return BareSub(1)


class BareDict(Bare):
    pass


@case
def slots_and_dict():
    b = BareDict(1)
    b.other = 3
    return b


class OneSlot:
    __slots__ = "x"

    def __eq__(self, o):
        return self.x == o.x


@case
def one_slot():
    o = OneSlot()
    o.x = 3
    return o


class DocSlot:
    __slots__ = {"x": "the doc", "__dict__": "", "__weakref__": ""}

    def __eq__(self, o):
        return self.x == o.x and self.q == o.q


@case
def slots_by_dict():
    o = DocSlot()
    o.x = 3
    o.q = 2
    return o


class Color(enum.Enum):
    RED = 1
    GREEN = "g"
    CRIMSON = 1

    def shout(self):
        return self.name.upper()


@case
def member():
    assert Color.RED.shout() == "RED" and Color.CRIMSON is Color.RED and Color["CRIMSON"] is Color.RED
    return [Color.RED, Color.GREEN, {Color.RED: Color}]


class Level(enum.IntEnum):
    LOW = enum.auto()
    HIGH = enum.auto()


@case
def int_member():
    return Level.HIGH


class Word(enum.StrEnum):
    ONE = enum.auto()


@case
def str_member():
    return Word.ONE


class Bits(enum.Flag):
    A = enum.auto()
    B = enum.auto()
    AB = A | B


@case
def flag():
    assert (Bits.A | Bits.B) is Bits.AB
    return [Bits.A | Bits.B, Bits.A, Bits(0), ~Bits.A]


class IBits(enum.IntFlag, boundary=enum.KEEP):
    A = 1
    B = 2


@case
def int_flag():
    return [IBits.A | IBits.B, IBits.A | 8]


class Planet(enum.Enum):
    EARTH = (1, 2)
    MARS = (3, 4)

    def __init__(self, mass, radius):
        self.mass = mass
        self.radius = radius

    @property
    def density(self):
        return self.mass / self.radius


@case
def enum_with_fields():
    return [Planet.EARTH, Planet.MARS.mass, Planet((3, 4)).density]


class Coord(bytes, enum.Enum):
    def __new__(cls, value, label):
        obj = bytes.__new__(cls, [value])
        obj._value_ = value
        obj.label = label
        return obj

    PX = (0, "P.X")
    PY = (1, "P.Y")


@case
def enum_with_new():
    return [Coord.PY, Coord.PY.label, Coord(1), bytes(Coord.PY)]


class Shape(str, enum.Enum):
    SQUARE = "square"

    @classmethod
    def _missing_(cls, value):
        return cls.SQUARE


@case
def enum_missing():
    return [Shape.SQUARE, Shape("x"), Shape.SQUARE == "square"]


class Spot(NamedTuple):
    x: int
    y: int = 2

    def total(self):
        return self.x + self.y


@case
def named():
    return [Spot(1), Spot(1).total(), Spot(1)._replace(y=4)]


Old = collections.namedtuple("Old", "a b", defaults=[3])


@case
def old_named():
    return [Old(1), Old(1)._asdict()]


class Options(TypedDict):
    deep: bool


@case
def typed_dict():
    return [Options(deep=True), Options]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")
    x: int
    y: list[int] = []
    _secret: int = PrivateAttr(default=3)

    @field_validator("x")
    @classmethod
    def positive(cls, x):
        if x < 0:
            raise ValueError("negative")
        return x

    @computed_field
    @property
    def twice(self) -> int:
        return self.x * 2


@case
def model():
    try:
        Model(x=-1)
    except pydantic.ValidationError:
        pass
    else:
        raise AssertionError
    m = Model(x="1", other=3)
    m._secret = 9
    assert Model.model_validate_json(m.model_dump_json(exclude={"twice"})).x == 1
    return [m, m._secret, m.twice, m.model_copy(update={"y": [1]})]


class Outer(BaseModel):
    inner: Model
    color: Color
    pair: Pair
    more: "list[Outer]" = []


@case
def nested_model():
    return Outer(
        inner=Model(x=1), color=1, pair=Pair(1), more=[Outer(inner=Model(x=2), color="g", pair=Pair(2))]
    )


class Box(BaseModel, Generic[T]):
    item: T


@case
def generic_model():
    return [Box[int](item="3"), Box(item=4), Box[Pair](item=Pair(1)), Box[Box[int]](item={"item": 1})]


@model_dataclass
class Checked:
    x: int
    y: Pair | None = None


@case
def checked():
    return [Checked(x="3"), Checked(x=1, y=Pair(2))]


@model_dataclass(slots=True, frozen=True)
class CheckedSlots:
    x: int


@case
def checked_slots():
    return CheckedSlots(x="3")


class Problem(ValueError):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code

    def __reduce__(self):
        return Problem, (self.code, self.args[0])

    def __eq__(self, o):
        return type(o) is Problem and (self.code, self.args) == (o.code, o.args)


@case
def problem():
    return Problem(3, "no")


class Simple(Exception):
    def __eq__(self, o):
        return type(o) is Simple and self.args == o.args


@case
def simple_exception():
    return Simple("a", 1)


class Bag(Generic[T]):
    def __init__(self, item: T):
        self.item = item

    def __eq__(self, o):
        return type(o) is Bag and o.item == self.item


@case
def generic():
    return [Bag[int](3), Bag("a"), Bag[int]]


class Form(abc.ABC):
    @abc.abstractmethod
    def area(self): ...
    @classmethod
    def made(cls):
        return cls()


class Square(Form):
    def area(self):
        return 4

    def __eq__(self, o):
        return type(o) is Square


@case
def abstract():
    try:
        Form()
    except TypeError:
        pass
    else:
        raise AssertionError
    assert isinstance(Square(), Form)
    return Square.made()


class Meta(type):
    seen = []

    def __new__(mcs, name, bases, namespace, **kw):
        if name != "Rooted" and "mark" not in namespace:
            raise TypeError("mark it")
        made = super().__new__(mcs, name, bases, namespace)
        mcs.seen.append(name)
        return made

    def __init__(cls, name, bases, namespace, **kw):
        super().__init__(name, bases, namespace)
        cls.also = name

    def __call__(cls, *args):
        return super().__call__(*args)

    @property
    def tag(cls):
        return cls.__name__.lower()


class Rooted(metaclass=Meta):
    pass


class Marked(Rooted):
    mark = 1

    def __init__(self, x):
        self.x = x

    def __eq__(self, o):
        return same_fields(self, o)


@case
def metaclass():
    assert Marked.tag == "marked" and Marked.also == "Marked" and Meta.seen == ["Rooted", "Marked"], Meta.seen
    return [Marked(3), Marked]


class Plugin:
    known = {}

    def __init_subclass__(cls, *, key, **kw):
        super().__init_subclass__(**kw)
        Plugin.known[key] = cls


class PlugA(Plugin, key="a"):
    def __eq__(self, o):
        return type(o) is PlugA


@case
def init_subclass():
    assert Plugin.known == {"a": PlugA}, Plugin.known
    return Plugin.known["a"]()


class Stateful:
    def __init__(self, x):
        self.x = x
        self.lock = object()

    def __getstate__(self):
        return {"x": self.x}

    def __setstate__(self, state):
        self.x = state["x"]
        self.lock = "new"

    def __eq__(self, o):
        return o.x == self.x


@case
def stateful():
    return Stateful(3)


class NewArgs(int):
    def __new__(cls, x, y):
        o = int.__new__(cls, x)
        o.y = y
        return o

    def __getnewargs__(self):
        return int(self), self.y

    def __eq__(self, o):
        return type(o) is NewArgs and int(o) == int(self) and o.y == self.y


@case
def new_args():
    return NewArgs(3, 4)


class Holder:
    class Inner:
        def __init__(self, x):
            self.x = x

        def __eq__(self, o):
            return type(o) is Holder.Inner and o.x == self.x

        class Core(enum.Enum):
            A = 1

    tags = ["a"]


@case
def nested():
    return [Holder.Inner(3), Holder.Inner.Core.A, Holder, Holder.tags]


class Left:
    def other(self):
        return Right()

    def __eq__(self, o):
        return type(o) is Left


class Right:
    def other(self):
        return Left()

    def __eq__(self, o):
        return type(o) is Right


@case
def cycle():
    return [Left(), Left().other(), Right().other()]


class Counter:
    made = 0
    names: list = []

    def __init__(self):
        Counter.made += 1

    def __eq__(self, o):
        return type(o) is Counter


@case
def counted():
    return Counter()


class Desc:
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, o, t=None):
        return self if o is None else o.__dict__["_" + self.name]

    def __set__(self, o, v):
        o.__dict__["_" + self.name] = v


class Described:
    size = Desc()

    @functools.cached_property
    def big(self):
        return self.size * 10

    @staticmethod
    def st():
        return 3

    def __eq__(self, o):
        return type(o) is Described and o.size == self.size


@case
def descriptors():
    d = Described()
    d.size = d.st()
    assert d.big == 30
    return d


class Words(dict):
    def __missing__(self, k):
        return k


class Items(list):
    pass


class Text(str):
    pass


@case
def containers():
    return [Words(a=1), Items([1]), Text("a"), {Text("b"): 1}]


class Node:
    def __init__(self):
        self.me = self
        self.kids = []

    def __eq__(self, o):
        return type(o) is Node and o.me is o


@case
def selfish():
    return Node()


@case
def aliased():
    p = Pair(1)
    return [p, p]


class Proto(typing.Protocol):
    def run(self) -> int: ...


class Runs:
    def run(self):
        return 1

    def __eq__(self, o):
        return type(o) is Runs


@case
def protocol():
    return [Runs(), Proto]


UserId = typing.NewType("UserId", int)


@case
def new_type():
    return UserId(3)


@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


class Cached:
    @functools.lru_cache(maxsize=3)
    def a(self):
        return 5

    def __eq__(self, o):
        return type(o) is Cached

    def __hash__(self):
        return 1


@case
def cached():
    return [fib(20), Cached().a(), Cached()]


class Big:
    def __init__(self):
        self.data = b"x" * 3_000_000

    def __eq__(self, o):
        return type(o) is Big and o.data == self.data


@case
def large():
    return Big()


@case
def large_list():
    return [b"y" * 2_000_000, Pair(1), Color.RED, Slotted(1), Box[int](item=2)]


@dataclass(frozen=True)
class Spec:
    w: int
    h: int = 0


class Sized(Spec, enum.Enum):
    A = 1, 2
    B = 3

    def area(self):
        return self.w * self.h


@case
def enum_of_dataclass():
    return [Sized.A, Sized.A.area(), Sized.B]


class Perm(enum.Flag):
    R = 4
    W = 2
    X = 1
    RW = R | W

    @property
    def letters(self):
        return "".join(m.name for m in Perm if m in self)


@case
def perms():
    return [Perm.RW, (Perm.R | Perm.X), Perm.RW.letters, list(Perm)]


class Base(BaseModel):
    kind: str

    def model_post_init(self, ctx):
        self._n = 4

    _n: int = 0


class Cat(Base):
    kind: typing.Literal["cat"] = "cat"
    age: int = pydantic.Field(ge=0, alias="years")


class Dog(Base):
    kind: typing.Literal["dog"] = "dog"


class Zoo(pydantic.RootModel[list[typing.Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]]]):
    pass


@case
def union_model():
    return [Zoo([{"kind": "cat", "years": 3}, Dog()]), Cat(years=3)._n]


class Typed(typing.TypedDict, total=False):
    a: typing.Required[int]


@case
def typed2():
    return [Typed, Typed(a=1)]


class Str2(str):
    __slots__ = ()


class Tup(tuple):
    def __new__(cls, *a):
        return tuple.__new__(cls, a)

    def __getnewargs__(self):
        return tuple(self)


@case
def builtins_sub():
    return [Str2("a"), Tup(1, 2)]


class Abs2(abc.ABC):
    @property
    @abc.abstractmethod
    def p(self): ...


@Abs2.register
class Virt:
    def __eq__(self, o):
        return type(o) is Virt and isinstance(o, Abs2)


@case
def virtual():
    return Virt()


class Chain(Exception):
    pass


class Group(ExceptionGroup):
    def derive(self, e):
        return Group(self.message, e)

    def __eq__(self, o):
        return type(o) is Group and len(o.exceptions) == len(self.exceptions)


@case
def group():
    return Group("g", [Chain("a")])


class FinalInit:
    __match_args__ = ("x",)
    x: int = 3

    def __init_subclass__(cls):
        raise TypeError("no subclass")

    def __eq__(self, o):
        return type(o) is FinalInit


@case
def final():
    return FinalInit()


class ByClassGetItem:
    def __class_getitem__(cls, k):
        return (cls, k)


@case
def class_getitem():
    return [ByClassGetItem[3], ByClassGetItem]


class Weak:
    def __init__(self):
        self.x = {self.__class__: 1}

    def __eq__(self, o):
        return o.x == self.x


@case
def holds_class():
    return Weak()


class Oper:
    def __init__(self):
        self.f = self.g

    def g(self):
        return 7

    def __eq__(self, o):
        return o.f() == 7 and o.f.__self__ is o


@case
def bound_method():
    return Oper()


BASE = 100


def plus(a, b=1):
    return a + b + BASE


class Adder:
    def __init__(self, n):
        self.n = n

    def __call__(self, *given):
        return self.n


@case
def functions():
    return [
        lambda: plus(1),
        functools.partial(plus, 1),
        functools.partial(lambda a: a, 2),
        Adder(3),
        len,
        plus,
    ]


@functools.singledispatch
def kind(value):
    return "something"


@kind.register
def kind_of_number(value: int):
    return "a number"


@case
def dispatched():
    return [kind(1), kind("a")]


class Op(enum.Enum):
    ANY = object()
    ADD = functools.partial(lambda a, b: a + b)
    NEGATE = functools.partial(lambda a: -a)
    NAN = float("nan")
    ROWS = [1]
    SAME = ROWS


@case
def enum_of_objects():
    assert Op.ADD.value(1, 2) == 3
    return [Op.ANY, Op.ADD, Op.NEGATE, Op.NAN, Op.ROWS, Op.SAME, [*Op]]


Rows = typing_extensions.TypeAliasType("Rows", list[UserId])
Json = typing_extensions.TypeAliasType("Json", "dict[str, Json] | int")
Twice = typing_extensions.TypeAliasType("Twice", tuple[T, T], type_params=(T,))
P = typing.ParamSpec("P")
Ts = typing.TypeVarTuple("Ts")


class Sizes(typing.Protocol[T]):
    def size(self) -> T: ...


def annotated(
    rows: Rows, twice: Twice[int] = (1, 1), json: Json = 1, sizes: Sizes[int] | None = None
) -> UserId:
    return rows


def passed_on(call: typing.Callable[P, T], *more: typing.Unpack[Ts]) -> typing.Callable[P, T]:
    return call


def hints(n):
    return str(typing.get_type_hints(annotated)["rows"])


@case
def annotated_functions():
    return [annotated, functools.partial(passed_on, call=1), hints]


@pydantic.validate_call
def validated(number: UserId = 1) -> int:
    return number + BASE


@pydantic.validate_call(validate_return=True, config={"arbitrary_types_allowed": True})
def validated_too(number: "UserId" = 2, pair: "Pair | None" = None) -> "int":
    return str(number)


class Validates:
    @pydantic.validate_call
    def twice(self, number: int) -> int:
        return 2 * number

    def __eq__(self, o):
        return o.twice("2") == 4


@case
def validated_functions():
    assert validated("1") == 101
    return [validated, validated_too, Validates()]


# The classes end here.


def equal(one, other):
    """Whether two values are the same in kind and content; those that are there once must be it."""
    if type(one) is not type(other):
        return False
    if isinstance(one, enum.Enum | type):
        return one is other
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if callable(one):
        arguments = [[]] if one is len else [1]
        return one is other or called(one, arguments) == called(other, arguments)
    return one == other


def called(value, arguments):
    try:
        return value()
    except TypeError:
        return value(*arguments)


PLANS = {
    "a result made there": "s1 = make_{0}()",
    "an argument made here, and returned": "s1 = here_{0}()\ns2 = same_{0}(value=s1)",
    "a result made there, and returned by another process": "s1 = make_{0}()\ns2 = same_{0}(value=s1)",
    "in containers": "s1 = make_{0}()\ns2 = inside_{0}(value=s1)\ns3 = same_{0}(value=s2)",
    "an argument made here, looked at there": "s1 = here_{0}()\ns2 = look_{0}(value=s1)",
    "a result made there, looked at there": "s1 = make_{0}()\ns2 = look_{0}(value=s1)",
    "one result used by two calls": "s1 = make_{0}()\ns2 = both_{0}(one=s1, other=s1)",
}
TOGETHER = 11
"""Cases whose functions share processes: starting those is what takes the time."""


def functions_of(name, made):
    """What a plan does with what one case makes."""

    def make():
        return made()

    def same(value):
        return value

    def inside(value):
        return {"a": [value, (value,)]}

    def look(value):
        return equal(value, made())

    def both(one, other):
        return one is other

    def here():
        return made()

    for one in (make, same, inside, look, both, here):
        one.__name__ = f"{one.__name__}_{name}"
    return [function(here), *map(function(kind="compute"), (make, same, inside, look, both))]


def tried(cases):
    """What isn't the same, by case and direction."""
    functions = [one for name, made in cases.items() for one in functions_of(name, made)]
    orchestrator = Orchestrator(functions, model=ScriptedModel([]), processors=2, learn=False)
    wrong = {}
    for name, made in cases.items():
        for direction, plan in PLANS.items():
            result = orchestrator.execute_sync(plan.format(name))
            answer = result.answer
            if result.error is None and direction == "in containers":
                answer = answer["a"][1][0]
            if result.error is not None or not (answer is True or equal(answer, made())):
                wrong.setdefault(name, {})[direction] = str(result.error or answer)
    return wrong


if __name__ == "__main__":
    names, wrong = list(MADE), {}
    for at in range(0, len(names), TOGETHER):
        wrong |= tried({name: MADE[name] for name in names[at : at + TOGETHER]})
    print(json.dumps(wrong), len(MADE))
