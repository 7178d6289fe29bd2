"""Tables of calls: paths of functions outside the checked files, what they do, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

FACTORIES: Final = frozenset(
    {
        "boto3.client",
        "boto3.resource",
        "requests.session",
        "connect",
        "cursor",
        "create_engine",
        "create_async_engine",
        "sessionmaker",
        "begin",
        "from_url",
        "create_pool",
        "acquire",
    }
)
"""Functions that return a client; every other lower-case call returns a value that is already there."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that break a rule for one reason.

    Attributes:
        code: of the rule.
        does: completes "... ", for the message.
        cure: what to write instead.
        exact: whole paths.
        modules: everything called in these modules, methods of the objects they make too.
        harmless: paths within the modules that are pure.
    """

    code: str
    does: str
    cure: str
    exact: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()
    harmless: frozenset[str] = frozenset()

    def match(self, path: str) -> bool:
        """True if a call of this path is one of them."""
        if path in self.exact:
            return True
        if path in self.harmless or path.endswith(("Error", "Exception", "Warning", "Expired")):
            return False
        return any(path.startswith(f"{module}.") and is_of_client(path) for module in self.modules)


def is_of_client(path: str) -> bool:
    """True for a function of a module, or a method of a client it makes; False for a method of a result."""
    *called, _ = path.split("()")
    return all(_makes_client(one) for one in called)


def _makes_client(path: str) -> bool:
    last = path.rpartition(".")[2]
    return not path or last[:1].isupper() or path in FACTORIES or last in FACTORIES


def first(path: str, table: Sequence[Calls]) -> Calls | None:
    """Return the first entry of a table that matches."""
    return next((one for one in table if one.match(path)), None) if path else None


def paths(prefix: str, names: str) -> frozenset[str]:
    """Return ``prefix.name`` for each of the names."""
    return frozenset(f"{prefix}.{name}" for name in names.split())


_NOW = "await ctx.now(), recorded once"
_STEP = "make it a step: await ctx.run(fn, ...)"
_PATH_IO = (
    "chmod exists glob hardlink_to is_dir is_file iterdir lstat mkdir open owner read_bytes read_text rename replace resolve"
    " rglob rmdir samefile stat symlink_to touch unlink walk write_bytes write_text cwd home expanduser absolute"
)
_OS_IO = (
    "access chdir chmod chown fdopen fsync ftruncate link listdir lstat makedirs mkdir mkfifo open pipe read readlink remove"
    " removedirs rename renames replace rmdir scandir sendfile stat statvfs symlink truncate unlink utime walk write"
)

DETERMINISM: Final = (
    Calls(
        "RF101",
        "draws differently at every replay",
        "use ctx.random (ctx.random(), ctx.random.choice(...))",
        modules=("random", "numpy.random"),
    ),
    Calls(
        "RF102",
        "is another value at every replay",
        "use ctx.uuid4(), or draw a secret in a step: await ctx.run(...)",
        exact=paths("uuid", "uuid1 uuid4 uuid6 uuid7 uuid8 getnode")
        | {"os.urandom", "os.getrandom", "ulid.new"},
        modules=("secrets",),
        harmless=frozenset({"secrets.compare_digest"}),
    ),
    Calls(
        "RF103",
        "reads the clock, which has moved on at a replay",
        f"use {_NOW}",
        exact=paths(
            "time",
            "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns"
            " clock_gettime thread_time",
        )
        | paths("datetime.datetime", "now utcnow today")
        | paths("datetime.datetime()", "now utcnow today")
        | paths("pandas.Timestamp", "now today utcnow")
        | paths("pendulum", "now today tomorrow yesterday")
        | {
            "datetime.date.today",
            "arrow.now",
            "arrow.utcnow",
            "django.utils.timezone.now",
            "whenever.Instant.now",
        },
    ),
    Calls(
        "RF104",
        "reads the process it happens to run in, which a replay is not",
        "read it in a step (await ctx.run(...)) or pass it as an argument",
        exact=paths("os", "getenv getenvb getpid getppid getcwd uname cpu_count getlogin getuid getloadavg")
        | paths("socket", "gethostname getfqdn")
        | {
            "input",
            "getpass.getuser",
            "getpass.getpass",
            "locale.getlocale",
            "sys.stdin.read",
            "sys.stdin.readline",
        },
        modules=("platform", "psutil"),
    ),
    Calls(
        "RF105",
        "reads or writes files, which differ at a replay or on another instance",
        _STEP,
        exact=frozenset(
            {"open", "io.open", "gzip.open", "zipfile.ZipFile", "tarfile.open", "linecache.getline"}
        )
        | paths("os", _OS_IO)
        | paths(
            "os.path",
            "exists isfile isdir islink getmtime getsize getctime getatime realpath samefile expanduser",
        )
        | paths("pathlib.Path()", _PATH_IO)
        | paths("pathlib.Path", _PATH_IO)
        | paths("pandas", "read_csv read_excel read_json read_parquet read_sql read_feather"),
        modules=("shutil", "glob", "tempfile", "aiofiles", "fileinput"),
        harmless=frozenset({"glob.escape"}),
    ),
    Calls(
        "RF107",
        "talks to a database, whose answer is not recorded",
        _STEP,
        exact=paths("sqlalchemy", "create_engine") | paths("sqlalchemy.ext.asyncio", "create_async_engine"),
        modules=(
            "sqlite3",
            "aiosqlite",
            "psycopg",
            "psycopg2",
            "psycopg_pool",
            "asyncpg",
            "pymysql",
            "aiomysql",
            "MySQLdb",
            "redis",
            "pymongo",
            "motor",
            "google.cloud.firestore",
            "google.cloud.bigquery",
            "duckdb",
            "sqlalchemy.create_engine()",
            "sqlalchemy.orm.Session()",
            "sqlalchemy.orm.sessionmaker()()",
            "sqlalchemy.ext.asyncio.AsyncSession()",
        ),
        harmless=frozenset({"pymongo.UpdateOne", "pymongo.InsertOne", "psycopg.sql.SQL", "redis.Retry"}),
    ),
    Calls(
        "RF106",
        "goes over the network, and the answer is not recorded",
        _STEP,
        exact=paths("urllib.request", "urlopen urlretrieve build_opener") | {"webbrowser.open"},
        modules=(
            "requests",
            "httpx",
            "aiohttp",
            "urllib3",
            "http.client",
            "socket",
            "smtplib",
            "ftplib",
            "imaplib",
            "poplib",
            "websockets",
            "grpc",
            "boto3",
            "aioboto3",
            "google.cloud.storage",
            "google.cloud.pubsub",
            "google.cloud.pubsub_v1",
            "google.cloud.tasks",
            "stripe",
            "twilio",
            "sendgrid",
            "slack_sdk",
            "openai",
            "anthropic",
            "paramiko",
            "kafka",
            "pika",
        ),
        harmless=paths("httpx", "URL Timeout Headers QueryParams Limits codes")
        | paths("requests", "Request")
        | paths("socket", "inet_aton inet_ntoa inet_pton htons ntohs gethostname"),
    ),
    Calls(
        "RF108",
        "starts a process, at every replay anew",
        _STEP,
        exact=paths(
            "os", "system popen fork forkpty execv execve execvp execl spawnl spawnv posix_spawn kill"
        ),
        modules=("subprocess", "pexpect", "sh"),
        harmless=frozenset({"subprocess.list2cmdline"}),
    ),
    Calls(
        "RF111",
        "runs beside the workflow, in an order that no replay repeats",
        "start calls with ctx.run or ctx.rpc and wait with ctx.gather, or ctx.map(fn, items, concurrency=...)",
        modules=("threading", "_thread", "concurrent.futures", "multiprocessing", "queue", "joblib"),
    ),
    Calls(
        "RF112",
        "needs an event loop, and a workflow has none: only what the context returns can be awaited",
        "use ctx.gather, ctx.race, ctx.as_completed or ctx.map, ctx.options(timeout=...) for a deadline, "
        "and ctx.run for async I/O",
        modules=("asyncio", "anyio", "trio", "curio"),
        harmless=paths("asyncio", "iscoroutinefunction iscoroutine isfuture") | paths("anyio", "Path"),
    ),
)
"""In the order of precedence: the first entry that matches a path names the rule."""

ATTRIBUTES: Final[Mapping[str, str]] = {
    "os.environ": "RF104",
    "os.environb": "RF104",
    "sys.argv": "RF104",
    "sys.platform": "RF104",
}
"""Values that are read without a call."""

CLOCK_BY_DEFAULT: Final = {
    "time.gmtime": 1,
    "time.localtime": 1,
    "time.ctime": 1,
    "time.asctime": 1,
    "time.strftime": 2,
}
"""Functions that read the clock if they are given fewer arguments than this."""
SEEDABLE: Final = ("random.Random", "numpy.random.default_rng", "numpy.random.RandomState")
"""Generators that repeat themselves if they are given a seed."""
SLEEPS: Final = frozenset(
    {
        "time.sleep",
        "asyncio.sleep",
        "anyio.sleep",
        "trio.sleep",
        "gevent.sleep",
        "eventlet.sleep",
        "anyio.sleep_until",
    }
)
FRESH: Final = ("RF101", "RF102", "RF103")
"""What is fresh at each attempt: no part of an idempotency key may come from there."""
