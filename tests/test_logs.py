"""Log lines of our code and of libraries: one event per line, without internals."""

import errno
import io
import json
import logging
import os
import socket
import subprocess
import sys
from typing import TextIO, cast

import pytest
import structlog

from quart_odds.logs import LogStream

CODE = """
import logging, structlog
from quart_odds.logs import configure_logging
from quart_odds.settings import load_settings
configure_logging(load_settings({}, log_format=FORMAT, log_level="info"))
structlog.get_logger().info("run.started", scrape_run_id=7)
logging.getLogger("some.library").warning("it said %s", "so")
logging.getLogger("some.library").info("and this is not worth a line")
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_line_has_what_happened_and_no_machinery(log_format: str) -> None:
    """Lines go to standard error; libraries log from level warning on."""
    code = CODE.replace("FORMAT", repr(log_format))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert "_record" not in second
    assert "_from_structlog" not in second
    assert "it said so" in second
    if log_format == "json":
        assert json.loads(first).keys() == {"event", "scrape_run_id", "level", "timestamp"}
        assert json.loads(second).keys() == {"event", "level", "timestamp"}
    assert logging.getLevelName(logging.WARNING).lower() in second


APP = """
import logging, structlog
from quart_odds import create_app
from quart_odds.settings import load_settings
{before}
app = create_app(load_settings({{}}, betpawa_proxy="http://u:PROXYSECRET@127.0.0.1:9", log_format={log_format!r}))
create_app(load_settings({{}}))
def fail(settings):
    password = "LOCALSECRET"
    raise ValueError("no connection to http://u:TEXTSECRET@proxy.example/ \x1b]0;owned\x07")
log = structlog.get_logger()
try:
    fail(app.extensions["quart_odds"].settings)
except ValueError as error:
    log.exception("request.failed", url="http://u:VALUESECRET@proxy.example/?token=ARGUMENTSECRET")
    logging.getLogger("quart.app").exception("Exception on request GET http://u:STDSECRET@x/")
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_an_app_logs_no_secret_whoever_serves_it(log_format: str) -> None:
    """`create_app` configures logging: no values of variables, no passwords, no terminal control sequences."""
    code = APP.format(log_format=log_format, before="")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    text = done.stdout + done.stderr
    assert "request.failed" in text
    assert "no connection to http://***@proxy.example/" in text
    assert "SECRET" not in text.replace("raise ValueError", "").replace("TEXTSECRET@proxy.example/ \\x1b", "").replace(
        'password = "LOCALSECRET"', ""
    )
    assert "\x1b]0" not in text
    if log_format == "json":
        assert json.loads(done.stderr.splitlines()[0])["event"] == "request.failed"


def test_logging_that_is_set_up_already_is_left_alone() -> None:
    """The process belongs to somebody else, and the app is one of many in it."""
    before = (
        "structlog.configure(processors=[lambda *each: 'theirs'], logger_factory=structlog.PrintLoggerFactory())\n"
        "logging.basicConfig(format='theirs too: %(message)s')"
    )
    code = APP.format(log_format="json", before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "theirs\n"
    assert done.stderr.startswith("theirs too: Exception on request")


class FullDisk(io.StringIO):
    """A stream that cannot be written."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    """The logged work continues, and the next line is tried again."""
    stream = LogStream(FullDisk())
    logger = structlog.PrintLogger(cast("TextIO", stream))
    logger.info("a line")
    assert stream.write("four") == 4
    kept = io.StringIO()
    LogStream(kept).write("a line\n")
    assert kept.getvalue() == "a line\n"


@pytest.mark.parametrize(
    ("name", "prefix", "fields"),
    [("ProcessName(2)", "[worker 2] ", {"worker": 2}), ("ProcessName()", "[supervisor] ", {"process": "supervisor"})],
)
def test_each_line_of_several_processes_names_its_process(name: str, prefix: str, fields: dict[str, object]) -> None:
    """In front of lines for people, and as a field of JSON, whether our code or a library logs, in any thread."""
    code = CODE.replace("log_level", f"log_level='info'), process={name}) #")
    code = f"import threading\nfrom quart_odds.logs import ProcessName\n{code}"
    code += "thread = threading.Thread(target=structlog.get_logger().info, args=('in.a.thread',))\nthread.start()\n"
    for log_format in ("console", "json"):
        words = [sys.executable, "-c", code.replace("FORMAT", repr(log_format))]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        lines = done.stderr.splitlines()
        assert len(lines) == 3
        for line in lines:
            if log_format == "json":
                assert json.loads(line).items() >= fields.items()
            else:
                assert line.startswith(prefix)


def test_a_line_is_written_at_once() -> None:
    """With its end, so that lines of several processes on one standard error do not mix."""
    code = (
        "import os, sys\n"
        "sys.stderr.reconfigure(write_through=True)\n"
        "import structlog\n"
        "from quart_odds.logs import configure_logging\n"
        "from quart_odds.settings import load_settings\n"
        "configure_logging(load_settings({}))\n"
        "structlog.get_logger().info('it.happened')\n"
    )
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with reading, writing:
        subprocess.run([sys.executable, "-c", code], stderr=writing.fileno(), check=True, timeout=60)
        writing.close()
        reading.settimeout(10)
        first, rest = reading.recv(4096), reading.recv(4096)
    assert b"it.happened" in first
    assert first.endswith(b"\n")
    assert rest == b""
