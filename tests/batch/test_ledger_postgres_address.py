"""The DSN of a PostgreSQL ledger: where it comes from, what it can ask for, and that its password is told to nobody."""

import copy
import logging
import pickle
import ssl
import traceback

import pytest
import trustme
from ledger_suite import ACCOUNT, CAT, all_of, bring
from postgres_proxy import Proxy
from postgres_store import Store

from sora_async.batch import PostgresLedger, Stage
from sora_async.errors import LedgerError

KEEPER = "keeper"  # the user who must give a password
SECRET = "canary-7f3a"
WITH_SECRET = [
    f"postgresql://user:{SECRET}@127.0.0.1:1/database",
    f"postgresql://:{SECRET}@127.0.0.1:1/database",
    f"postgres://127.0.0.1:1/database?user=u&password={SECRET}",
    f"postgresql://127.0.0.1:1/?sslpassword={SECRET}",
]
MALFORMED = [
    f"postgresql://user:{SECRET}/x@127.0.0.1:1/database",
    f"postgresql://user:1?{SECRET}@127.0.0.1:1/database",
    f"postgresql://user:{SECRET}#x@127.0.0.1:1/database",
    f"postgresql://user:{SECRET}@x@127.0.0.1:1/database",
    f"host=127.0.0.1 password={SECRET}",
    f"mysql://user:{SECRET}@127.0.0.1/database",
    "",
]
# These look well, and the driver finds what is wrong.
UNUSABLE = [
    f"postgresql://user:{SECRET}@127.0.0.1:port/database",
    f"postgresql://user:{SECRET}@127.0.0.1:1/database?sslmode=perhaps",
]


async def ends_of(ledger):
    """All that is said when this ledger cannot be used."""
    for step in (ledger.open(ACCOUNT), ledger.migrate(), ledger.account(), all_of(ledger)):
        with pytest.raises(LedgerError) as caught:
            await step
        yield "".join(traceback.format_exception(caught.value))
        yield repr(pickle.dumps(caught.value))


@pytest.mark.parametrize("dsn", [*WITH_SECRET, *UNUSABLE])
async def test_password_is_told_to_nobody(dsn, caplog):
    """Not by an error, a log, a repr or a pickle, however the ledger is used."""
    caplog.set_level(logging.DEBUG)
    ledger = PostgresLedger(dsn)
    told = [repr(ledger), str(ledger), repr(vars(ledger)), *[said async for said in ends_of(ledger)], caplog.text]
    assert SECRET not in "".join(told)
    with pytest.raises(TypeError, match="holds a password, which must not travel") as caught:
        pickle.dumps(ledger)
    assert SECRET not in str(caught.value)
    with pytest.raises(TypeError, match="holds a password"):
        copy.deepcopy(ledger)


@pytest.mark.parametrize("dsn", MALFORMED)
async def test_dsn_that_could_be_misread_is_refused_untold(dsn):
    """A password that is not encoded would be taken for something that may be shown."""
    with pytest.raises(ValueError, match="must be percent-encoded") as caught:
        PostgresLedger(dsn)
    assert SECRET not in str(caught.value)
    ledger = PostgresLedger(lambda: dsn)
    assert SECRET not in "".join([said async for said in ends_of(ledger)])


def test_dsn_is_shown_without_its_user_and_options():
    """What remains tells which database it is."""
    ledger = PostgresLedger("postgresql://user@one.example:5433,two.example/videos?sslmode=verify-full", name="cats")
    assert repr(ledger) == "PostgresLedger(<postgresql://one.example:5433,two.example/videos>, name='cats')"


async def ask_vault():
    return ask.dsn


def ask():
    return ask.dsn


@pytest.mark.parametrize(("source", "shown"), [("LEDGER_DSN", "$LEDGER_DSN"), (ask, "ask"), (ask_vault, "ask_vault")])
async def test_dsn_from_elsewhere_is_asked_for_and_travels(store, monkeypatch, source, shown):
    """A pickle names the source; what it answers is used for each connection, and may change."""
    monkeypatch.setenv("LEDGER_DSN", store.dsn)
    monkeypatch.setattr(ask, "dsn", store.dsn, raising=False)
    async with store.opened(source) as ledger:
        assert repr(ledger) == f"PostgresLedger(<the DSN of {shown}>, name='{store.name}')"
        await bring(ledger, "cat", Stage.SUBMITTED)
        sent = pickle.loads(pickle.dumps(ledger))
        with pytest.raises(RuntimeError, match="is not open"):
            await sent.enter("cat", CAT, intend=True)
    await sent.open(ACCOUNT)
    assert (await sent.enter("cat", CAT, intend=True)).stage is Stage.SUBMITTED
    await sent.close()


async def test_dsn_without_a_password_travels(store):
    """The rights of its user come from elsewhere, such as a certificate or a file."""
    dsn = "postgresql://user:@/database?host=/run/postgresql&sslcert=a.pem"
    assert repr(pickle.loads(pickle.dumps(PostgresLedger(dsn)))) == repr(PostgresLedger(dsn))


def refuse():
    raise OSError(f"no vault answers to {SECRET}")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("LEDGER_DSN", r"the DSN of \$LEDGER_DSN: the variable is not set"),
        (refuse, "the DSN of refuse: asking for it failed with OSError"),
        (lambda: None, "its DSN is not of the form"),
        (lambda: "LEDGER_DSN", "its DSN is not of the form"),
    ],
)
async def test_dsn_that_is_not_to_be_had_is_told(source, told):
    """Without what the source said, which may hold a secret."""
    with pytest.raises(LedgerError, match=told) as caught:
        await PostgresLedger(source).open(ACCOUNT)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.fixture
async def keeper(postgres_server):
    """A user who must give a password, and the ledger that is theirs."""
    store = Store(postgres_server.dsn, "kept")
    await store.execute(f"CREATE ROLE {KEEPER} LOGIN PASSWORD '{SECRET}'")
    await store.execute(f"GRANT CREATE ON DATABASE postgres TO {KEEPER}")
    yield store
    await store.execute(f"DROP OWNED BY {KEEPER}")
    await store.execute(f"DROP ROLE {KEEPER}")


async def test_password_opens_the_ledger_over_tls(keeper, tmp_path):
    """The options of the DSN are the driver's: a server that proves itself is talked to, by TLS only."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    async with Proxy(keeper.dsn, trap=None, tls=serving) as proxy:
        options = f"sslmode=verify-full&sslrootcert={tmp_path / 'authority.pem'}"
        async with keeper.opened(f"postgresql://{KEEPER}:{SECRET}@{proxy.place}/postgres?{options}") as ledger:
            assert (await ledger.enter("cat", CAT, intend=True)).stage is Stage.INTENDED


async def test_server_that_does_not_prove_itself_is_not_told_the_password(keeper, tmp_path):
    """Nor is it waited for."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "authority.pem")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(serving)
    async with Proxy(keeper.dsn, trap=SECRET.encode(), tls=serving) as proxy:
        options = f"sslmode=verify-full&sslrootcert={tmp_path / 'authority.pem'}"
        ledger = keeper(f"postgresql://{KEEPER}:{SECRET}@{proxy.place}/postgres?{options}")
        with pytest.raises(LedgerError, match="certificate verify failed"):
            await ledger.open(ACCOUNT)
        assert not proxy.sprung.is_set()


async def test_wrong_password_is_told_without_it(keeper):
    """With what to check."""
    place = keeper.dsn.partition("@")[2]
    with pytest.raises(
        LedgerError, match=r"password authentication failed .*check the user and the password"
    ) as caught:
        await keeper(f"postgresql://{KEEPER}:{SECRET}-wrong@{place}").open(ACCOUNT)
    assert SECRET not in str(caught.value)
