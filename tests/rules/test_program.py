"""What is a workflow and what is a step: as the engine has it."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import PurePath
from types import ModuleType

import pytest
from tests.rules.snippets import PRELUDE

from resonate_faas._engine.registry import describe
from resonate_faas.checks import Settings, check_sources
from resonate_faas.checks._program import Program
from resonate_faas.checks._resolve import Project
from resonate_faas.checks._scopes import build

SHAPES = textwrap.dedent(
    """
    import resonate_faas
    from typing import Any
    from resonate_faas import Context as Ctx

    async def coroutine(ctx: Context) -> None: ...
    async def other_name(c: Context, n: int) -> None: ...
    async def aliased(c: Ctx) -> None: ...
    async def dotted(c: resonate_faas.Context) -> None: ...
    async def quoted(c: "Context") -> None: ...
    async def unannotated(ctx, n): ...
    async def unannotated_long(context): ...
    def generator(ctx: Context): yield
    def generator_unannotated(ctx): yield
    async def positional_only(ctx: Context, /) -> None: ...

    def plain(ctx: Context) -> None: ...
    def plain_step(step: StepContext) -> None: ...
    async def no_context(n: int) -> None: ...
    async def second(n: int, ctx: Context) -> None: ...
    async def keyword_only(*, ctx: Context) -> None: ...
    async def other_type(ctx: int) -> None: ...
    async def other_name_unannotated(c): ...
    async def variadic(*ctx): ...
    def generator_without(n: int): yield n
    async def nothing() -> None: ...

    class Service:
        async def method(self, ctx: Context) -> None: ...
        async def method_without(self, n: int) -> None: ...
        @staticmethod
        async def static(ctx: Context) -> None: ...
        @staticmethod
        async def static_second(n: int, ctx: Context) -> None: ...
    """
)


def engine_workflows() -> set[str]:
    module = ModuleType("shapes")
    exec(compile(PRELUDE + SHAPES, "shapes.py", "exec"), module.__dict__)
    service = module.Service()
    found = [one for one in vars(module).values() if inspect.isfunction(one)]
    found += [getattr(service, name) for name in ("method", "method_without", "static", "static_second")]
    return {one.__name__ for one in found if describe(one).is_workflow}


def test_the_linter_and_the_engine_agree() -> None:
    program = Program(Project([build(PurePath("shapes.py"), PRELUDE + SHAPES)]))
    theirs = engine_workflows()
    assert {one.name for one in program.workflows} == theirs
    assert len(theirs) == 12


def program_of(text: str) -> Program:
    return Program(Project([build(PurePath("workflows.py"), PRELUDE + textwrap.dedent(text))]))


@pytest.mark.parametrize(
    ("call", "steps"),
    [
        ("ctx.run(one)", {"one"}),
        ("ctx.rpc(one)", {"one"}),
        ("ctx.detached(one)", {"one"}),
        ("ctx.map(one, [1])", {"one"}),
        ("ctx.options(timeout=5).run(one)", {"one"}),
        ("ctx.run('one')", set()),
        ("ctx.run('registered')", {"registered"}),
        ("ctx.run(partial(one, 1))", {"one"}),
        ("ctx.run(one if ctx.info else two)", {"one", "two"}),
        ("ctx.run(lambda: one())", {"lambda", "one"}),
        ("ctx.run(nested)", {"nested"}),
        ("ctx.run(child)", set()),
        ("ctx.run(TABLE['a'])", {"one", "two"}),
        ("ctx.run(Service().work)", {"work"}),
        ("ctx.run(calls_two)", {"calls_two", "two"}),
    ],
)
def test_what_is_run_is_a_step(call: str, steps: set[str]) -> None:
    program = program_of(
        f"""
        from functools import partial

        def one(*args): ...
        def two(*args): ...
        def calls_two(): two()
        TABLE = {{"a": one, "b": two}}

        class Service:
            def work(self): ...

        @resonate.register
        def registered(): ...

        async def child(ctx: Context) -> None: ...

        async def parent(ctx: Context) -> None:
            def nested(): ...
            await {call}
        """
    )
    assert {one.name for one in program.step_code} == steps | {"registered"}
    assert {one.name for one in program.workflow_code} == {"child", "parent"}


def test_helpers_are_workflow_code_by_each_way_of_calling() -> None:
    program = program_of(
        """
        def direct(): deeper()
        def deeper(): ...
        def handed(x): return x
        def untouched(): ...

        class Tool:
            def __init__(self): prepare()
            def use(self): ...

        def prepare(): ...

        async def parent(ctx: Context) -> None:
            direct()
            sorted([], key=handed)
            Tool().use()
            await ctx.run(print)
        """
    )
    names = {one.name for one in program.workflow_code}
    assert names == {"parent", "direct", "deeper", "handed", "__init__", "use", "prepare"}


def test_a_context_is_known_under_whatever_name_it_is_passed() -> None:
    program = program_of(
        """
        def start(c, n): return c.run(print, n)

        async def parent(ctx: Context) -> None:
            await start(ctx, 1)
        """
    )
    (start,) = [one for one in program.workflow_code if one.name == "start"]
    assert program.takes_steps(start)


@pytest.mark.parametrize(
    "text",
    ["a = b\nb = a\nasync def f(ctx: Context):\n    a()\n", "def f(ctx): return f(ctx)\n", "x = x.y\n"],
)
def test_cycles_end(text: str) -> None:
    program_of(text)


def test_a_long_chain_of_calls_is_followed_to_its_end() -> None:
    length = 2_000
    chain = "".join(f"def h{n}(): return h{n + 1}()\n" for n in range(length))
    text = f"import time\n{chain}def h{length}(): return time.time()\nasync def w(ctx: Context): h0()\n"
    report = check_sources({PurePath("workflows.py"): PRELUDE + text})
    assert [one.code for one in report.findings] == ["RF103"]


def test_promises_are_counted_through_a_chain_of_helpers() -> None:
    chain = "".join(f"async def h{n}(ctx): await h{n + 1}(ctx)\n" for n in range(2_000))
    text = f"{chain}async def h2000(ctx): await ctx.run(print)\nasync def w(ctx: Context): await h0(ctx)\n"
    report = check_sources({PurePath("workflows.py"): PRELUDE + text}, Settings(max_promises=1))
    assert report.findings == ()  # a chain this long counts as if it ended: an estimate, not an error
    short = "async def h(ctx):\n    await ctx.run(print)\n    await ctx.run(print)\nasync def w(ctx: Context): await h(ctx)\n"
    report = check_sources({PurePath("workflows.py"): PRELUDE + short}, Settings(max_promises=1))
    assert [(one.code, one.line) for one in report.findings] == [("RF405", 4)]
