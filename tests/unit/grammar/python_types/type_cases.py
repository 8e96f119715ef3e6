"""Python types that `Grammar.of_type` takes, and those that it refuses with a reason."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import ipaddress
import pathlib
import re
import uuid
import zoneinfo
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypeVar,
)

import pydantic
import pydantic.dataclasses
from annotated_types import Predicate
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Json,
    PlainValidator,
    RootModel,
    StringConstraints,
    Tag,
    WithJsonSchema,
    WrapValidator,
    computed_field,
    field_validator,
)
from typing_extensions import TypeAliasType, TypedDict

NOON = dt.datetime(2020, 3, 5, 12, 2, 3, 500, tzinfo=dt.timezone(dt.timedelta(hours=2)))


class Colour(enum.Enum):
    RED, BLUE = "red", "blue"


class Level(enum.IntEnum):
    LOW, HIGH = 1, 2


class Word(enum.StrEnum):
    ONE, TWO = "x", "y z"


class Mixed(enum.Enum):
    WHOLE, TEXT, PART, PAIR = 1, "b", 2.5, (1, 2)


class Flags(enum.Flag):
    A, B = 1, 2


class Point(NamedTuple):
    x: int
    y: str = "x"


class Entry(TypedDict):
    key: int
    value: NotRequired[list[str]]


class Chain(TypedDict):
    number: int
    following: NotRequired[Chain]


class Plain(BaseModel):
    x: int
    y: str = "a"
    z: list[float] = Field(default_factory=list)


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: int


class Late(BaseModel):
    model_config = ConfigDict(defer_build=True)
    x: int


Nested = TypeAliasType("Nested", "list[Nested] | int | None")


class Keeping(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int = Field(1, alias="theX")


class KeepingNumbers(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]
    x: int = 1


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    whole: int
    part: float
    yes: bool
    day: dt.date
    name: uuid.UUID
    colour: Colour
    pair: tuple[int, str]
    numbers: set[int]
    octets: bytes
    price: Decimal
    span: dt.timedelta
    address: ipaddress.IPv4Address
    by_number: dict[int, str]


class Aliased(BaseModel):
    x: int = Field(alias="theX")
    y: int = Field(validation_alias=AliasChoices("yy", "y2"))
    z: str = Field("q", serialization_alias="zz")


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_alias=False, validate_by_name=True)
    x: int = Field(alias="theX")


class Deep(BaseModel):
    x: int = Field(validation_alias=AliasPath("a", 0))


class Area(BaseModel):
    x: int

    @computed_field
    @property
    def y(self) -> int:
        return self.x


class Node(BaseModel):
    value: int
    kids: list[Node] = []


class Endless(BaseModel):
    inner: Endless


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog", "hound"] = "dog"
    bark: float


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Owner(BaseModel):
    pet: Pet
    more: list[Pet] = []


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    value: T
    others: list[T]


class Root(RootModel[list[int]]):
    pass


@dataclasses.dataclass
class Record:
    a: int
    b: str | None = None
    c: list[int] = dataclasses.field(default_factory=list)
    d: int = dataclasses.field(init=False, default=3)


@pydantic.dataclasses.dataclass
class Checked:
    a: Annotated[int, Field(gt=3)]
    b: dt.date


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, str_min_length=2, str_max_length=5)
    text: str


class InBase64(BaseModel):
    model_config = ConfigDict(val_json_bytes="base64")
    data: bytes


class InHex(BaseModel):
    model_config = ConfigDict(val_json_bytes="hex")
    data: Annotated[bytes, Field(max_length=3)]


class WithPython(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")
    text: Annotated[str, Field(pattern=r"\w+\s\d$")]


class Finite(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)
    number: float


class Changing(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def one_more(cls, value: int) -> int:
        return value + 1


class Frozen(BaseModel, frozen=True):
    x: int
    y: tuple[str, ...]


class Raising:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise RuntimeError("this type raises")


class FrozenList(BaseModel, frozen=True):
    x: list[int]


class CheckedDefaults(BaseModel):
    model_config = ConfigDict(validate_default=True)
    good: Annotated[int, Field(ge=3)] = 5
    bad: Annotated[int, Field(ge=3)] = 1
    made: list[int] = Field(default_factory=lambda: ["x"])


@pydantic.dataclasses.dataclass(config=ConfigDict(validate_default=True))
class CheckedDefault:
    bad: Annotated[int, Field(ge=3)] = 1


class TwoNames(BaseModel):
    x: int = Field(3, validation_alias=AliasChoices("first", "y"))
    y: Annotated[int, Field(ge=0)] | str = 0


class OneAlias(BaseModel):
    x: int = Field(alias="key")
    y: str = Field(alias="key")


class Shadowed(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
    x: int = Field(alias="y")
    y: int | str = Field("q", alias="z")


class KeepingAliases(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int = Field(3, validation_alias=AliasChoices("first", "second"))


def _pattern(pattern: str, **more: Any) -> Any:
    return Annotated[str, Field(pattern=pattern, **more)]


def _newer(*names: str) -> dict[str, Any]:
    """Types that only newer editions of Pydantic have."""
    found = {name: getattr(pydantic, name, None) for name in names}
    return {name: one for name, one in found.items() if one is not None}


TAKEN: dict[str, Any] = {
    # Python's own
    "int": int, "float": float, "bool": bool, "str": str, "None": None, "bytes": bytes,
    "Decimal": Decimal, "Fraction": Fraction, "complex": complex, "Any": Any, "object": object,
    "date": dt.date, "time": dt.time, "datetime": dt.datetime, "timedelta": dt.timedelta,
    "UUID": uuid.UUID, "Path": pathlib.Path, "PurePosixPath": pathlib.PurePosixPath,
    "ZoneInfo": zoneinfo.ZoneInfo, "IPv4Address": ipaddress.IPv4Address,
    "IPv6Address": ipaddress.IPv6Address, "IPv4Network": ipaddress.IPv4Network,
    "IPv6Network": ipaddress.IPv6Network, "IPv4Interface": ipaddress.IPv4Interface,
    "IPv6Interface": ipaddress.IPv6Interface,
    # Pydantic's
    **_newer(
        "UUID1", "UUID3", "UUID4", "UUID5", "UUID6", "UUID7", "UUID8",
        "IPvAnyAddress", "IPvAnyNetwork", "IPvAnyInterface",
        "HttpUrl", "AnyUrl", "AnyHttpUrl", "FileUrl", "FtpUrl", "WebsocketUrl", "AnyWebsocketUrl",
        "PostgresDsn", "RedisDsn", "AmqpDsn", "MongoDsn", "KafkaDsn", "MySQLDsn", "MariaDBDsn",
        "CockroachDsn", "NatsDsn", "ClickHouseDsn", "SnowflakeDsn",
        "Base64Bytes", "Base64Str", "Base64UrlBytes", "Base64UrlStr",
        "PastDate", "FutureDate", "PastDatetime", "FutureDatetime", "NaiveDatetime",
        "AwareDatetime", "SecretStr", "SecretBytes", "ByteSize", "JsonValue", "FiniteFloat",
        "PositiveInt", "NonNegativeFloat", "StrictInt", "StrictFloat", "StrictBool", "StrictStr",
    ),
    "Json": Json, "Json[int]": Json[int], "Json[list[bool]]": Json[list[bool]],
    "Secret[int]": pydantic.Secret[int],
    "short secret": Annotated[pydantic.SecretStr, Field(min_length=3, max_length=9)],
    # Conditions
    "bounded int": Annotated[int, Field(ge=3, le=900)],
    "stepped int": Annotated[int, Field(multiple_of=7, gt=10)],
    "tenths": Annotated[float, Field(multiple_of=0.1)],
    "tenths to one": Annotated[float, Field(multiple_of=0.1, ge=0, le=1)],
    "bounded float": Annotated[float, Field(gt=0.5, lt=0.75)],
    "price": Annotated[Decimal, Field(max_digits=5, decimal_places=2)],
    "bounded Decimal": Annotated[Decimal, Field(ge=Decimal("0.5"), lt=3)],
    "short Decimal": Annotated[Decimal, Field(max_digits=3)],
    "one place": Annotated[Decimal, Field(decimal_places=1)],
    "quarters": Annotated[Decimal, Field(multiple_of=Decimal("0.25"))],
    "fraction": Annotated[Decimal, Field(max_digits=4, decimal_places=4)],
    "small fraction": Annotated[Decimal, Field(max_digits=2, decimal_places=3)],
    "fine steps": Annotated[Decimal, Field(multiple_of=Decimal("1e-20"))],
    "far": Annotated[float, Field(ge=1e308)], "finite and far": Annotated[
        float, Field(allow_inf_nan=False, gt=1e150)
    ],
    "long Decimal": Annotated[Decimal, Field(max_digits=20, decimal_places=4)],
    "dates": Annotated[dt.date, Field(ge=dt.date(2020, 3, 5), lt=dt.date(2021, 2, 28))],
    "after noon": Annotated[dt.datetime, Field(gt=NOON)],
    "before noon": Annotated[dt.datetime, Field(le=NOON.replace(tzinfo=None))],
    "office hours": Annotated[dt.time, Field(ge=dt.time(8), lt=dt.time(17, 30))],
    "within an hour": Annotated[dt.timedelta, Field(ge=dt.timedelta(0), lt=dt.timedelta(hours=1))],
    "few bytes": Annotated[bytes, Field(min_length=2, max_length=5)],
    "few words": Annotated[list[str], Field(min_length=1, max_length=3)],
    # Patterns, read by Rust's engine
    "no word": _pattern(r"^\W$"), "space": _pattern(r"^\s$"), "no digit": _pattern(r"^\D$"),
    "digits": _pattern(r"\d{3}"), "class": _pattern(r"^[^\w]+[\d\s]$"), "dot": _pattern("^.$"),
    "no space": _pattern(r"^\S+$", max_length=5), "names": _pattern(r"^(?P<a>a|b){2,}\x41\.$"),
    "stripped": Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=2, pattern="^a")
    ],
    "lowered": Annotated[str, StringConstraints(to_lower=True, pattern="^[A-Z]+$")],
    # Values
    "Colour": Colour, "Level": Level, "Word": Word, "Mixed": Mixed, "Flags": Flags,
    "Literal": Literal["a", 1, True] | None,
    "Literal of 64 bits and more": Literal[9223372036854775807, 9223372036854775808],
    "Literal of members": Literal[Word.ONE],
    # Containers
    "list": list[int], "list of anything": list[Any], "set": set[int], "frozenset": frozenset[str],
    "tuple": tuple[int, str], "long tuple": tuple[int, ...], "empty tuple": tuple[()],
    "deque": collections.deque[int], "Sequence": Sequence[str], "Iterable": Iterable[int],
    "set of moments": set[dt.datetime], "set of tuples": set[tuple[int, str]],
    "few strings": Annotated[set[str], Field(min_length=2, max_length=4)],
    "two numbers": Annotated[set[int], Field(min_length=2)], "set of models": set[Frozen],
    "dict": dict[str, int], "dict of anything": dict[Any, Any], "Mapping": Mapping[str, int],
    "OrderedDict": collections.OrderedDict[str, int], "Counter": collections.Counter[str],
    "defaultdict": collections.defaultdict[str, list[int]],
    "by int": dict[int, str], "by UUID": dict[uuid.UUID, int], "by date": dict[dt.date, int],
    "by Colour": dict[Colour, int], "by Literal": dict[Literal["a", "b"], int],
    "by float": dict[float, int], "by bool": dict[bool, int], "by Decimal": dict[Decimal, int],
    "by datetime": dict[dt.datetime, int], "by time": dict[dt.time, int],
    "by address": dict[ipaddress.IPv4Address, int], "by bytes": dict[bytes, int],
    "by pattern": dict[Annotated[str, Field(pattern="^x")], int],
    "by int or None": dict[int | None, int],
    "named tuple": Point, "typed dict": Entry, "chain": Chain,
    # Models
    "Plain": Plain, "Forbidding": Forbidding, "Keeping": Keeping,
    "KeepingNumbers": KeepingNumbers, "Strict": Strict, "Aliased": Aliased, "ByName": ByName,
    "Area": Area, "Node": Node, "Owner": Owner, "Box": Box[int], "Root": Root,
    "Stripped": Stripped, "InBase64": InBase64, "InHex": InHex, "WithPython": WithPython,
    "Finite": Finite, "Record": Record, "Checked": Checked, "CheckedDefaults": CheckedDefaults,
    "CheckedDefault": CheckedDefault, "TwoNames": TwoNames, "Shadowed": Shadowed,
    "KeepingAliases": KeepingAliases,
    # Unions
    "optional": int | None, "number or text": int | str, "numbers": int | float | None,
    "list or dict": list[int] | dict[str, int], "pet": Pet, "cat or dog": Cat | Dog,
    "late": Late, "alias": Nested, "new type": NewType("Metres", float), "type variable": T,
    "in order": Annotated[int | str, Field(union_mode="left_to_right")],
    # Functions of the author of a type, which take what stands inside them
    "after": Annotated[int, AfterValidator(lambda value: value)],
    "before": Annotated[list[int], BeforeValidator(lambda value: value)],
    "around": Annotated[int, WrapValidator(lambda value, inner: inner(value))],
    "Changing": Changing,
    "described": Annotated[
        Any, PlainValidator(lambda value: value), WithJsonSchema({"type": "string"})
    ],
}  # fmt: skip

REFUSED: dict[str, tuple[Any, str]] = {
    "pattern object": (re.Pattern, "regular expressions"),
    "file": (pydantic.FilePath, "whether a file exists"),
    "folder": (pydantic.DirectoryPath, "whether a folder exists"),
    "new file": (pydantic.NewPath, "what exists"),
    "import": (pydantic.ImportString, "a function reads it"),
    "callable": (Callable[[], int], r"\(callable\)"),
    "class": (type[int], r"\(is-subclass\)"),
    "hashable": (Hashable, r"\(chain\)"),
    "plain class": (type("Strange", (), {}), "that Pydantic reads from JSON"),
    "unknown name": (list[ForwardRef("Nowhere")], "that Pydantic reads from JSON"),
    "no type": ({}, "that Pydantic reads from JSON"),
    "raising hook": (Raising, "that Pydantic reads from JSON .this type raises"),
    "function": (_newer, r"\(call\)|that Pydantic reads"),
    "JSON of an object": (Json[dict[str, int]], "json .*Json of dict"),
    "member in a Literal": (Literal[Colour.RED], "none of them is a value that Pydantic reads"),
    "Literal of more than 64 bits": (Literal[-9223372036854775809], "none of them is a value"),
    "set of lists": (set[list[int]], r"\[\] \(list\): items of a set must be hashable"),
    "set of anything": (set[Any], r"\[\] \(any\)"),
    "set of models": (set[Plain], r"\[\] \(model\)"),
    "set of frozen models": (set[FrozenList], r"\(list\)"),
    "two moments": (Annotated[set[dt.datetime], Field(min_length=2)], "in two ways"),
    "two keys": (Annotated[dict[int, str], Field(min_length=2)], "cannot count keys"),
    "by pair": (dict[tuple[int, int], int], r"keys \(tuple\)"),
    "by URL": (dict[pydantic.HttpUrl, int], r"keys \(url\)"),
    "by number of a member": (dict[Level, int], r"keys \(enum\): none of its values is a string"),
    "by bounded int": (dict[Annotated[int, Field(gt=3)], int], r"keys \(int\)"),
    "path in a key": (Deep, r"Deep\.x \(alias\)"),
    "endless": (Endless, "nothing|no value|unsatisfiable|empty|admits"),
    "flags of a pattern": (_pattern("(?i)abc"), "flags or look-around"),
    "boundary": (_pattern(r"\bfoo\b"), r"the escape"),
    "property": (_pattern(r"\p{L}"), r"the escape"),
    "operation on classes": (_pattern("[a-z&&b]"), "operations on classes"),
    "length of decoded text": (
        Annotated[pydantic.Base64Str, Field(max_length=4)],
        "max_length_validator",
    ),
    "length of decoded bytes": (
        Annotated[pydantic.Base64UrlBytes, Field(min_length=1)],
        "min_length_validator",
    ),
    "length behind a function": (
        Annotated[str, AfterValidator(str.strip), Field(min_length=3)],
        "min_length_validator",
    ),
    "pattern behind a function": (
        Annotated[str, AfterValidator(str.upper), Field(pattern="a")],
        r"\(chain\)",
    ),
    "bounded Fraction": (Annotated[Fraction, Field(gt=3)], r"gt.*fraction"),
    "pair of one": (Annotated[tuple[int, int], Field(max_length=1)], "2 items"),
    "one alias": (OneAlias, "OneAlias|/properties/key"),
    "numbers between floats": (
        Annotated[float, Field(gt=0.1234567890123456, lt=0.1234567890123457)],
        "more digits",
    ),
    "before the first date": (
        Annotated[dt.date, Field(lt=dt.date.min)],
        "date.*between its bounds",
    ),
    "after the last time": (Annotated[dt.time, Field(gt=dt.time(23, 59, 59))], "time.*between"),
    "many remainders": (Annotated[int, Field(multiple_of=10**9 + 7)], "remainders"),
    "silent function": (Annotated[int, PlainValidator(lambda value: value)], "is not known"),
    "predicate": (Annotated[str, Predicate(str.islower)], "not known here"),
    "tags of a function": (
        Annotated[
            Annotated[Cat, Tag("c")] | Annotated[Dog, Tag("d")], Discriminator(lambda _: "c")
        ],
        r"\(discriminator\)",
    ),
    "field": (dict[str, list[tuple[int, set[Plain]]]], r"values\.\[\]\.\[1\]\.\[\] \(model\)"),
}

NOT_READ: list[tuple[Any, str]] = [
    (int, "1E53"), (int, "1.0"), (int, "9" * 4301), (pydantic.UUID4, '"hello"'),
    (pydantic.UUID4, '"00000000-0000-1000-8000-000000000000"'), (pydantic.HttpUrl, '"a:b"'),
    (dt.timedelta, '"P99999999999W"'), (dict[int, str], '{"x":"y"}'),
    (pydantic.IPvAnyAddress, '"zz"'), (ipaddress.IPv4Network, '"10.0.0.1/8"'),
    (pydantic.Base64Bytes, '"a"'), (Json, '"x"'),
    (pydantic.NaiveDatetime, '"2020-01-01T00:00:00Z"'),
    (pydantic.AwareDatetime, '"2020-01-01T00:00:00"'), (pydantic.PastDate, '"9000-01-01"'),
    (_pattern(r"^\W$"), '"é"'), (_pattern(r"^\s$"), '"\ufeff"'), (_pattern(r"^\D$"), '"٠"'),
    (Annotated[Decimal, Field(max_digits=5, decimal_places=2)], "12345"),
    (Pet, '{"bark":1}'), (Annotated[set[int], Field(min_length=2)], "[1,1]"),
    (dict[uuid.UUID, int], '{"a":1}'), (dict[dt.date, int], '{"2021-02-29":1}'),
    (Record, '{"a":1,"d":2}'), (Aliased, '{"x":1,"y":2}'),
]  # fmt: skip

READ: list[tuple[Any, str]] = [
    (int, "-12"), (int, "9" * 4300), (float, "-1.5e-3"), (pydantic.HttpUrl, '"https://a.org/b?c=d#e"'),
    (pydantic.UUID4, '"00000000-0000-4000-8000-00000000000f"'), (dt.timedelta, '"P1DT2H3M4S"'),
    (dict[int, str], '{"-3":"y","0":"z"}'), (pydantic.IPvAnyAddress, '"::1"'),
    (ipaddress.IPv4Network, '"10.0.0.0/8"'), (pydantic.Base64Bytes, '"YQ=="'),
    (pydantic.Base64Str, '"YWI="'), (Json[list[int]], '"[1,23]"'),
    (pydantic.NaiveDatetime, '"2020-01-01T00:00:00.5"'),
    (pydantic.AwareDatetime, '"2020-01-01T00:00:00+01:30"'), (pydantic.PastDate, '"1999-12-31"'),
    (_pattern(r"^\D$"), '"é"'), (_pattern("^.$"), '"😀"'),
    (Annotated[Decimal, Field(max_digits=5, decimal_places=2)], "-123.45"),
    (Pet, '{"kind":"hound","bark":1.5}'), (Owner, '{"pet":{"lives":9,"kind":"cat"}}'),
    (Record, '{"a":1,"c":[2]}'), (Aliased, '{"theX":1,"yy":2}'),
    (Point, "[1]"), (Node, '{"value":1,"kids":[{"value":2}]}'), (Keeping, '{"theX":1,"q":[{}]}'),
    (pydantic.PostgresDsn, '"postgresql://me:pw@db.example.org:5432/data"'),
]  # fmt: skip
