"""A Jinja sandbox for chat templates in which each rendering has a budget of work.

A template comes with a model and is not trusted. It runs in Jinja's immutable sandbox. What the
sandbox does not let us watch, the template's syntax tree is rewritten to call: every turn of a loop
and every call of a macro takes steps, and comparisons, slices, concatenations, literals and
unpacked arguments go through functions that ask the budget first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import BuiltinMethodType, MethodType
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from decoding.errors import ChatTemplateError
from decoding.models.template_budget import MAX_INTEGER_BITS, Budget
from decoding.models.template_filters import BUDGET, FILTERS, TESTS, budget_of, shown
from decoding.models.template_globals import GLOBALS
from decoding.models.template_operations import (
    OPERATORS,
    FormatMethod,
    binary,
    brace_format,
    call_method,
    check_key,
)
from decoding.typing import Anything

MAX_TEMPLATE_LENGTH = 2**17
"""Characters of a template; the longest of public models has about 40,000."""

MAX_TEMPLATE_TOKENS = 12_000
"""Tokens of a template's expressions and statements."""

MAX_TEMPLATE_FUNCTIONS = 500
"""Blocks, macros and calls with a body in a template: each becomes a function, of about 50 KB."""


_MOST_OF_A_REASON = 1_000


def render(source: str, values: dict[str, Any], budget: Budget) -> str:
    """Render a chat template with its variables.

    Raises:
        ChatTemplateError: the template is too long, is no Jinja, takes more than the budget, or
            raises something.
    """
    with _typed_errors():
        template = _compiled(source)
        context = template.new_context({**values, BUDGET: budget})
        return "".join(template.root_render_func(context))


def literal_text(source: str) -> str:
    """The literal texts of a template, joined by null characters.

    Raises:
        ChatTemplateError: the template is too long or is no Jinja.
    """
    with _typed_errors():
        _compiled(source)
        tree = _ENVIRONMENT.parse(source)
    texts = [node.data for node in tree.find_all(nodes.TemplateData)]
    texts += [node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)]
    return "\0".join(texts)


@lru_cache(maxsize=16)
def _compiled(source: str) -> Template:
    if len(source) > MAX_TEMPLATE_LENGTH:
        raise ChatTemplateError(f"it is longer than {MAX_TEMPLATE_LENGTH:,} characters")
    return _ENVIRONMENT.from_string(source)


@contextmanager
def _typed_errors() -> Iterator[None]:
    """Turn exceptions of templates, and of the compiler, into ChatTemplateError."""
    try:
        yield
    except TemplateSyntaxError as error:
        raise ChatTemplateError(_reason(error), error.lineno) from error
    except ChatTemplateError:
        raise
    except Exception as error:
        raise ChatTemplateError(_reason(error)) from error


def _reason(error: Exception) -> str:
    written = error.message if isinstance(error, TemplateError) else str(error)
    reason = written or type(error).__name__
    return reason[:_MOST_OF_A_REASON] + " ..." * (len(reason) > _MOST_OF_A_REASON)


class _Limits(Extension):
    """Counts a template's tokens."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for count, token in enumerate(stream):
            if count >= MAX_TEMPLATE_TOKENS:
                raise ChatTemplateError(f"it has more than {MAX_TEMPLATE_TOKENS:,} tokens")
            yield token


class _Generation(Extension):
    """Jinja extension that renders `{% generation %}` blocks as their contents."""

    tags = {"generation"}  # noqa: RUF012 -- declared as a plain set by the base class

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with a budget for every operation."""

    intercepted_binops = OPERATORS

    def _generate(self, source: nodes.Template, *options: Anything, **named: Anything) -> str:
        functions = source.find_all((nodes.Block, nodes.Macro, nodes.CallBlock))
        if sum(1 for _ in functions) > MAX_TEMPLATE_FUNCTIONS:
            raise ChatTemplateError(f"it has more than {MAX_TEMPLATE_FUNCTIONS} blocks and macros")
        variables = sum(1 for _ in source.find_all((nodes.Assign, nodes.AssignBlock, nodes.Macro)))
        return super()._generate(_Rewriter(variables).visit(source), *options, **named)

    def wrap_str_format(self, value: Anything) -> Anything:
        method = isinstance(value, BuiltinMethodType | MethodType)
        if method and isinstance(value.__self__, str) and value.__name__.startswith("format"):
            return FormatMethod(value.__self__, value.__name__ == "format_map")
        return None

    def getitem(self, obj: Anything, argument: Anything) -> Anything:
        if isinstance(argument, tuple):  # hashing one may take for ever
            check_key(argument)
        return super().getitem(obj, argument)

    def call_binop(
        self, context: Context, operator: str, left: Anything, right: Anything
    ) -> Anything:
        return binary(budget_of(context), operator, left, right)

    def call(
        self, context: Context, called: Anything, /, *args: Anything, **kwargs: Anything
    ) -> Anything:
        budget = budget_of(context)
        budget.step(1 + len(args) + len(kwargs))
        given = args, {name: kwargs[name] for name in kwargs if name not in _FRAME_NAMES}
        if isinstance(called, FormatMethod):
            return brace_format(self, budget, called, given)
        if isinstance(called, BuiltinMethodType | MethodType) and isinstance(
            called.__self__, str | bytes | list | tuple | dict | range | int | float | type
        ):
            return call_method(budget, called, given)
        if not isinstance(called, Macro | LoopContext):
            for value in args:
                budget.read(value)
        return budget.made(super().call(context, called, *args, **kwargs))


_FRAME_NAMES = ("_loop_vars", "_block_vars")  # what Jinja adds to the arguments of every call


class _Rewriter(NodeTransformer):
    """Inserts budget calls into a template's syntax tree.

    variables: how many the template sets: a block's context is a copy of them.
    """

    def __init__(self, variables: int) -> None:
        self._variables = variables

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        # As a constant it is written by way of `shown`, which counts it.
        return nodes.Const(node.data, lineno=node.lineno)

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        if isinstance(node.value, int) and node.value.bit_length() > MAX_INTEGER_BITS:
            raise ChatTemplateError(f"an integer has more than {MAX_INTEGER_BITS:,} bits")
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.test is not None:
            node.test = nodes.And(_steps([node.test]), node.test)
        return self._counted(node)

    def _counted(self, node: Anything) -> nodes.Node:
        """Let a body take steps before it is run: more, the more expressions are in it."""
        steps = _steps(node.body, self._variables if isinstance(node, nodes.Block) else 0)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(steps, lineno=node.lineno))
        visited: nodes.Node = node
        return visited

    visit_Macro = visit_CallBlock = visit_Block = visit_Template = _counted

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        left, whole = node.expr, None
        for operand in node.ops:
            one = _compared(left, operand)
            whole = one if whole is None else nodes.And(whole, one, lineno=node.lineno)
            left = operand.expr
        return whole or node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("(concatenated)", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        none = nodes.Const(None, lineno=node.lineno)
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        return _call("(sliced)", node.node, *(bound or none for bound in bounds))

    def visit_List(self, node: nodes.List) -> nodes.Node:
        self.generic_visit(node)
        return _call("(made)", node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        for pair in node.items:
            pair.key = _call("(key)", pair.key)
        return _call("(made)", node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _call("(made)", node) if node.ctx == "load" else node

    def _unpacked(self, node: Anything) -> nodes.Node:
        self.generic_visit(node)
        for name in ("dyn_args", "dyn_kwargs"):
            if getattr(node, name) is not None:
                setattr(node, name, _call("(unpacked)", getattr(node, name)))
        visited: nodes.Node = node
        return visited

    visit_Call = visit_Filter = visit_Test = _unpacked

    def _refused(self, node: nodes.Node) -> nodes.Node:
        raise ChatTemplateError(f"{type(node).__name__} is not available in chat templates")

    visit_Extends = visit_Include = visit_Import = visit_FromImport = _refused
    visit_EvalContextModifier = visit_ScopedEvalContextModifier = _refused


def _call(name: str, value: nodes.Expr, *others: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(others), [], None, None, lineno=value.lineno)


def _steps(body: list[Any], more: int = 0) -> nodes.Filter:
    line = body[0].lineno if body else 1
    return _call("(steps)", nodes.Const(1 + (_size(body) + more) // 8, lineno=line))


_BODIES = (nodes.For, nodes.Macro, nodes.CallBlock)


def _size(body: list[Any]) -> int:
    """The number of nodes in a body, without those of inner loops."""
    count, waiting = 0, list(body)
    while waiting:
        node = waiting.pop()
        count += 1
        waiting += node.iter_child_nodes(exclude=("body",) if isinstance(node, _BODIES) else None)
    return count


def _compared(left: nodes.Expr, operand: nodes.Operand) -> nodes.Expr:
    right = operand.expr
    if operand.op in ("in", "notin"):
        found = _call("(contained)", left, right)
        return found if operand.op == "in" else nodes.Not(found, lineno=left.lineno)
    sides = [
        side if isinstance(side, nodes.Const) else _call("(compared)", side)
        for side in (left, right)
    ]
    return nodes.Compare(sides[0], [nodes.Operand(operand.op, sides[1])], lineno=left.lineno)


def _environment() -> _Environment:
    environment = _Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        optimized=False,  # nothing is evaluated before there is a budget
        extensions=[_Limits, _Generation, loopcontrols],
        finalize=shown,
    )
    environment.filters = dict(FILTERS)
    environment.tests = dict(TESTS)
    environment.globals = dict(GLOBALS)
    return environment


_ENVIRONMENT = _environment()
