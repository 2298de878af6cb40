"""PostgreSQL for tests: a new server of the session, or the one that SORA_TEST_POSTGRES names."""

import os
import uuid

import pytest
from postgres_store import Store

from benchmarks.postgres_server import NoServerError, OwnServer
from sora_async.batch import postgres_lease


@pytest.fixture(scope="session")
def postgres_server():
    """A server of this session's own, which may be killed and started again."""
    server = OwnServer()
    try:
        server.make()
        server.start()
    except NoServerError as error:
        server.stop()
        pytest.skip(f"no PostgreSQL can be started: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres(request):
    """The DSN of a database in which everything is allowed."""
    return os.environ.get("SORA_TEST_POSTGRES") or request.getfixturevalue("postgres_server").dsn


@pytest.fixture
async def store(postgres, monkeypatch):
    """What makes ledgers that all stand for one and the same, which is new."""
    monkeypatch.setattr(postgres_lease, "RESTART_GRACE_S", 0.0)
    store = Store(postgres, uuid.uuid4().hex)
    yield store
    await store.drop()
