"""Settings: the contract's names and defaults, judged as a whole; secrets hidden; Kafka's properties sorted."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog
from confluent_kafka import Consumer, Producer
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import LogCapture

from consumer import settings as settings_module
from consumer.errors import ExitCode, SettingsError
from consumer.hash_seed import DEFAULT_GROUP
from consumer.run import client_properties, kafka_broker, refuse_owned, topic_names
from consumer.settings import Settings, check_for_run, kafka_properties, load, redacted

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULTS: Final[dict[str, Any]] = {
    "KAFKA_BOOTSTRAP_SERVERS": None,
    "INPUT_TOPIC": "inventory.transactions",
    "OUTPUT_TOPIC": "inventory.stock-predictions",
    "DEAD_LETTER_TOPIC": "inventory.transactions.dead-letters",
    "CONSUMER_GROUP": "smart-inventory",
    "INSTANCE_ID": socket.gethostname(),
    "PROCESSING_GUARANTEE": "exactly_once",
    "COMMIT_INTERVAL_MS": 200,
    "CHECKPOINT_URL": "file:checkpoints",
    "CHECKPOINT_BYTES_PER_SECOND": 20_000_000,
    "CHECKPOINT_INTERVAL_SECONDS": 10,
    "CHECKPOINT_SIGNING_KEY": None,
    "MODEL": "guarded",
    "MODEL_SCOPE": "partition",
    "ML_MODEL_PATH": None,
    "METRICS_PORT": 8000,
    "TRANSACTION_MAX_RECORDS": 50_000,
    "SEEN_IDS": 100_000,
    "ITEM_RETIRE_DAYS": 400,
    "OUTLOOK_TOPIC": None,
    "POLICIES_FILE": None,
    "STORE_TIMEZONE": "UTC",
    "MAX_INVALID_RATIO": 0.2,
    "INVALID_WINDOW_RECORDS": 1_000,
    "MAX_QUANTITY": 1e6,
    "MAX_CLOCK_AHEAD_SECONDS": 86_400,
    "CHECKPOINT_KEEP": 3,
    "MAX_REPLAY_RECORDS": 5_000_000,
    "ON_GAP": "stop",
    "SHUTDOWN_SECONDS": 20,
    "WATCHDOG_SECONDS": 90,
    "LOG_FORMAT": "auto",
}
BAD: Final = (
    ("INPUT_TOPIC", "a b", "topic name of letters, digits, '.', '_' and '-', at most 249"),
    ("OUTPUT_TOPIC", "x" * 250, "at most 249"),
    ("DEAD_LETTER_TOPIC", "täglich", "topic name of letters"),
    ("INPUT_TOPIC", ".", "but not '.' or '..'"),  # Kafka refuses these two
    ("OUTPUT_TOPIC", "..", "but not '.' or '..'"),
    ("CONSUMER_GROUP", "two\nlines", "pattern"),
    ("CONSUMER_GROUP", "x" * 201, "at most 200 characters"),
    ("INSTANCE_ID", "a\x7f", "pattern"),
    ("PROCESSING_GUARANTEE", "twice", "'exactly_once' or 'at_least_once'"),
    ("COMMIT_INTERVAL_MS", "0", "greater than or equal to 1"),
    ("COMMIT_INTERVAL_MS", "5001", "less than or equal to 5000"),
    ("COMMIT_INTERVAL_MS", "0.2", "valid integer"),
    ("CHECKPOINT_INTERVAL_SECONDS", "0", "greater than 0"),
    ("CHECKPOINT_INTERVAL_SECONDS", "nan", "finite number"),
    ("CHECKPOINT_INTERVAL_SECONDS", "often", "valid number"),
    ("CHECKPOINT_BYTES_PER_SECOND", "0", "greater than or equal to 1"),
    ("MODEL_SCOPE", "shop", "'partition', 'store' or 'item'"),
    ("METRICS_PORT", "70000", "less than or equal to 65535"),
    ("METRICS_PORT", "-1", "greater than or equal to 0"),
    ("METRICS_PORT", "http", "valid integer"),
    ("TRANSACTION_MAX_RECORDS", "0", "greater than or equal to 1"),
    ("SEEN_IDS", "0", "greater than or equal to 1"),
    ("SEEN_IDS", "10000001", "less than or equal to 10000000"),
    ("ITEM_RETIRE_DAYS", "0", "greater than or equal to 1"),
    ("ITEM_RETIRE_DAYS", "36501", "less than or equal to 36500"),
    ("MAX_INVALID_RATIO", "1.01", "less than or equal to 1"),
    ("MAX_INVALID_RATIO", "-0.1", "greater than or equal to 0"),
    ("MAX_INVALID_RATIO", "nan", "equal to"),
    ("INVALID_WINDOW_RECORDS", "0", "greater than or equal to 1"),
    ("MAX_QUANTITY", "2e6", "less than or equal to 1000000"),
    ("MAX_QUANTITY", "0", "greater than 0"),
    ("MAX_CLOCK_AHEAD_SECONDS", "-1", "greater than or equal to 0"),
    ("MAX_CLOCK_AHEAD_SECONDS", "1000000001", "less than or equal to 1000000000"),
    ("CHECKPOINT_KEEP", "0", "greater than or equal to 1"),
    ("CHECKPOINT_KEEP", "9223372036854775808", "less than or equal to 1000000"),  # no deque can be so long
    ("MAX_REPLAY_RECORDS", "0", "greater than or equal to 1"),
    ("MAX_REPLAY_RECORDS", "9" * 100_000, "integer"),
    ("SHUTDOWN_SECONDS", "1." * 50_000, "number"),
    ("ON_GAP", "ignore", "'stop' or 'accept'"),
    ("SHUTDOWN_SECONDS", "-1", "greater than 0"),
)
OWNED: Final = (
    "KAFKA_ISOLATION_LEVEL",
    "KAFKA_GROUP_ID",
    "KAFKA_GROUP_INSTANCE_ID",
    "KAFKA_GROUP_PROTOCOL",
    "KAFKA_TRANSACTIONAL_ID",
    "KAFKA_ACKS",
    "KAFKA_REQUEST_REQUIRED_ACKS",  # its other name
    "KAFKA_ENABLE_IDEMPOTENCE",
    "KAFKA_ENABLE_AUTO_COMMIT",
    "KAFKA_ENABLE_AUTO_OFFSET_STORE",
    "KAFKA_ENABLE_AUTO_ANYTHING",
    "KAFKA_AUTO_OFFSET_RESET",
    "KAFKA_ENABLE_PARTITION_EOF",
    "KAFKA_PARTITION_ASSIGNMENT_STRATEGY",
)
SECRETS: Final = (
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_KEY_PASSWORD",
    "KAFKA_SSL_KEYSTORE_PASSWORD",
    "KAFKA_SSL_KEY_PEM",
    "KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET",
    "KAFKA_SASL_JAAS_CONFIG",
    "CHECKPOINT_SIGNING_KEY",
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in DEFAULTS or name.startswith("KAFKA_"):
            monkeypatch.delenv(name)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Load the settings from these variables and no others."""

    def from_variables(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load()

    return from_variables


@pytest.fixture
def capture() -> LogCapture:
    """What was logged."""
    return LogCapture()


def logger(capture: LogCapture) -> Any:
    """A log into the capture."""
    return structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0))


# The contract


def test_defaults_are_the_contracts(loaded: Callable[..., Settings]) -> None:
    """Names and defaults are public: an environment without any of them means exactly this, and there is no other."""
    settings = loaded()
    assert {name.upper(): getattr(settings, name) for name in Settings.model_fields} == DEFAULTS


def test_the_hash_seeds_group_is_the_settings_group() -> None:
    """The seed is derived before settings are loaded: both must mean the same group where none is set."""
    assert DEFAULTS["CONSUMER_GROUP"] == DEFAULT_GROUP


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_has_a_meaning(name: str) -> None:
    """`smart-inventory config` explains each setting in a sentence."""
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith(".")


def test_values_are_taken(loaded: Callable[..., Settings]) -> None:
    """A variable overrides its default, numbers and vocabularies read from text."""
    settings = loaded(
        KAFKA_BOOTSTRAP_SERVERS="a:1,b:2",
        PROCESSING_GUARANTEE="at_least_once",
        COMMIT_INTERVAL_MS="50",
        CHECKPOINT_INTERVAL_SECONDS="0.5",
        METRICS_PORT="0",
        MODEL_SCOPE="item",
    )
    assert settings.kafka_bootstrap_servers == "a:1,b:2"
    assert settings.processing_guarantee is settings_module.Guarantee.AT_LEAST_ONCE
    assert (settings.commit_interval_ms, settings.checkpoint_interval_seconds) == (50, 0.5)
    assert (settings.metrics_port, settings.model_scope) == (0, settings_module.Scope.ITEM)


def test_empty_variables_are_ignored(loaded: Callable[..., Settings]) -> None:
    """Compose files and Helm charts leave variables empty: that means the default, for every one of them."""
    assert loaded(**dict.fromkeys(DEFAULTS, "")) == Settings()


def test_other_variables_are_none_of_ours(loaded: Callable[..., Settings]) -> None:
    """An environment holds much else; nothing in it stops the worker."""
    loaded(PATH_OF_THE_SUN="x", MODELS="y", SETTINGS="z")


def test_settings_do_not_change(loaded: Callable[..., Settings]) -> None:
    """What was judged at the start holds until the end."""
    settings = loaded()
    with pytest.raises(ValueError, match="frozen"):
        settings.seen_ids = 1  # type: ignore[misc]  # that is the point


# Bad values


@pytest.mark.parametrize(("variable", "value", "expected"), BAD, ids=[f"{row[0]}={row[1][:12]!r}" for row in BAD])
def test_a_bad_value_is_one_sentence(loaded: Callable[..., Settings], variable: str, value: str, expected: str) -> None:
    """The sentence names the variable, what was expected and what came; nothing else, and no traceback of pydantic."""
    with pytest.raises(SettingsError) as caught:
        loaded(**{variable: value})
    sentence = str(caught.value)
    shown = value if len(value) <= 80 else f"{value[:80]}..."
    assert sentence.startswith(f"{variable}={shown!r}: expected ")
    assert expected in sentence
    assert "\n" not in sentence
    assert ";" not in sentence
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("SHUTDOWN_SECONDS", "0", "SHUTDOWN_SECONDS='0': expected greater than 0"),
        ("ON_GAP", "x", "ON_GAP='x': expected 'stop' or 'accept'"),
        ("METRICS_PORT", "x", "METRICS_PORT='x': expected a valid integer"),
    ],
)
def test_what_was_expected_is_spelt_right(
    loaded: Callable[..., Settings], variable: str, value: str, sentence: str
) -> None:
    """The sentence is one that a person can read."""
    with pytest.raises(SettingsError) as caught:
        loaded(**{variable: value})
    assert str(caught.value).startswith(sentence)


def test_all_bad_values_are_named_at_once(loaded: Callable[..., Settings]) -> None:
    """An operator mends a deployment once, not once per mistake."""
    with pytest.raises(SettingsError) as caught:
        loaded(METRICS_PORT="http", SEEN_IDS="0", MODEL_SCOPE="shop")
    sentences = str(caught.value).split("; ")
    assert [sentence.split("=")[0] for sentence in sentences] == ["MODEL_SCOPE", "METRICS_PORT", "SEEN_IDS"]


@pytest.mark.parametrize("variable", ["SHUTDOWN_SECONDS", "CHECKPOINT_INTERVAL_SECONDS"])
def test_times_are_finite(loaded: Callable[..., Settings], variable: str) -> None:
    """No clock waits for ever: threading refuses such a time-out only when it is used, at the stop."""
    with pytest.raises(SettingsError, match=variable):
        loaded(**{variable: "inf"})


# Secrets


@pytest.mark.parametrize("variable", SECRETS)
def test_secrets_are_never_shown(variable: str) -> None:
    """Under the property's name, or a setting's in any case, a secret is shown as stars."""
    names = [*kafka_properties({variable: "x"})] or [variable, variable.lower()]
    assert [redacted(name, "hunter2") for name in names] == ["********"] * len(names)


def test_the_signing_key_shows_nowhere(loaded: Callable[..., Settings]) -> None:
    """A settings object that ends up in a log line gives nothing away."""
    settings = loaded(CHECKPOINT_SIGNING_KEY="hunter2")
    assert settings.signing_key() == b"hunter2"
    assert loaded(CHECKPOINT_SIGNING_KEY="").signing_key() is None
    assert loaded(CHECKPOINT_SIGNING_KEY=os.fsdecode(b"\xff\x80k")).signing_key() == b"\xff\x80k"  # no UTF-8
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in redacted("x", settings.checkpoint_signing_key)


def test_what_is_no_secret_is_shown() -> None:
    """Redacting everything would hide what the command is for; None is nothing."""
    assert redacted("input_topic", "sales") == "sales"
    assert redacted("checkpoint_signing_key", None) == ""
    assert redacted("metrics_port", 8000) == "8000"


# What this version does not do


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, "KAFKA_BOOTSTRAP_SERVERS is not set"),
        ({"MODEL": "forest"}, "MODEL='forest'"),
        *(
            (
                {variable: "shared", "CHECKPOINT_URL": "kafka:shared"},
                "CHECKPOINT_URL=kafka:shared: expected a topic of its own",
            )
            for variable in ("INPUT_TOPIC", "OUTPUT_TOPIC", "DEAD_LETTER_TOPIC")
        ),
        *(
            ({"CHECKPOINT_URL": url}, f"CHECKPOINT_URL={url!r}: expected file:DIRECTORY")
            for url in (
                *("checkpoints", "file", "file:", "FILE:x", ":x", "s3:", "s3:bucket", "s3://"),
                *("kafka:", "kafka:a b", "kafka://x", "kafka:.."),
                *("s3://B", "s3://bucket/../x", "gs://bucket//x", "az://bucket/a b", "S3://bucket", "s3a://bucket/x"),
            )
        ),
    ],
)
def test_what_no_worker_can_run_with_is_refused(
    loaded: Callable[..., Settings], variables: dict[str, str], named: str
) -> None:
    """A setting that this version does not know or cannot follow is refused by name, never ignored."""
    always = {"KAFKA_BOOTSTRAP_SERVERS": "localhost:9092", "CHECKPOINT_SIGNING_KEY": "hunter2"}
    settings = loaded(**always | variables)
    with pytest.raises(SettingsError) as caught:
        check_for_run(settings)
    assert named in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_defaults_are_supported(loaded: Callable[..., Settings]) -> None:
    """Only the brokers' address must be given."""
    check_for_run(loaded(KAFKA_BOOTSTRAP_SERVERS="localhost:9092"))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:checkpoints", "checkpoints"),
        ("file:/var/lib/x", "/var/lib/x"),
        ("file:///var/lib/x", "/var/lib/x"),
        ("file:a%20b", "a b"),
        ("file:a:b", "a:b"),
    ],
)
def test_the_directory_of_a_file_url(loaded: Callable[..., Settings], url: str, path: str) -> None:
    """`file:` takes a relative or an absolute path, percent-encoded where need be."""
    assert loaded(CHECKPOINT_URL=url).checkpoint_location() == ("file", path)
    assert loaded(CHECKPOINT_URL=url).checkpoint_topic() is None


def test_the_topic_of_a_kafka_url(loaded: Callable[..., Settings]) -> None:
    """`kafka:` takes a topic's name, which the broker is asked about with the other topics."""
    settings = loaded(KAFKA_BOOTSTRAP_SERVERS="a:1", CHECKPOINT_URL="kafka:inventory.checkpoints")
    check_for_run(settings)
    assert settings.checkpoint_location() == ("kafka", "inventory.checkpoints")
    assert settings.checkpoint_topic() == "inventory.checkpoints"
    assert topic_names(settings).all()[3:] == ["inventory.checkpoints"]
    assert topic_names(settings).variable("inventory.checkpoints") == "CHECKPOINT_URL"


@pytest.mark.parametrize(
    ("url", "scheme", "path"),
    [
        ("s3://bucket", "s3", "bucket"),
        ("gs://my.bucket/", "gs", "my.bucket"),
        ("az://container/shop=1/checkpoints/", "az", "container/shop=1/checkpoints"),
    ],
)
def test_the_bucket_of_a_url(loaded: Callable[..., Settings], url: str, scheme: str, path: str) -> None:
    """A bucket or container, and a prefix of plain characters, without what a URL could smuggle in."""
    assert loaded(CHECKPOINT_URL=url).checkpoint_location() == (scheme, path)


@pytest.mark.parametrize("url", ["s3://key:hunter2@bucket/x", "s3://bucket/x?secret=hunter2", "az://bucket#hunter2"])
def test_no_secret_belongs_into_the_url(loaded: Callable[..., Settings], url: str) -> None:
    """It would stand in logs: such a URL is refused, and not shown either."""
    with pytest.raises(SettingsError, match="without user, query or fragment") as raised:
        loaded(CHECKPOINT_URL=url).checkpoint_location()
    assert "hunter2" not in str(raised.value)


# Kafka's properties


def test_kafka_variables_pass_through() -> None:
    """`KAFKA_X_Y` becomes `x.y`; empty ones and our own do not, nor does anything else."""
    assert kafka_properties(
        {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_PASSWORD": "a=b_C",
            "KAFKA_SESSION_TIMEOUT_MS": "",
            "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
            "MY_KAFKA_X": "x",
            "PATH": "/bin",
        }
    ) == {"security.protocol": "SASL_SSL", "sasl.password": "a=b_C"}


@given(st.dictionaries(st.from_regex(r"(KAFKA_)?[A-Z_]{0,12}", fullmatch=True), st.text(max_size=5), max_size=5))
def test_no_environment_breaks_the_naming(environment: dict[str, str]) -> None:
    """Whatever an image or an orchestrator sets, naming the properties raises nothing and changes no value."""
    properties = kafka_properties(environment)
    assert set(properties.values()) <= set(environment.values())
    assert all(name == name.lower() and "_" not in name for name in properties)


@pytest.mark.parametrize("variable", OWNED)
def test_owned_properties_are_refused(variable: str) -> None:
    """A property on which a guarantee rests is refused by the name that the operator wrote, even with our own value."""
    with pytest.raises(SettingsError, match=f"^{variable}: the worker owns this property"):
        refuse_owned(kafka_properties({variable: "x", "KAFKA_LINGER_MS": "5"}))


def test_all_owned_properties_are_named_at_once() -> None:
    """Several are all named in one sentence."""
    with pytest.raises(SettingsError) as caught:
        refuse_owned(kafka_properties(dict.fromkeys(OWNED, "x")))
    assert all(variable in str(caught.value) for variable in OWNED)


def test_unknown_properties_are_ignored_with_one_warning(loaded: Callable[..., Settings], capture: LogCapture) -> None:
    """Kubernetes injects KAFKA_PORT, images set KAFKA_HEAP_OPTS: one warning names them, and the start goes on."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
        "KAFKA_PORT": "tcp://10.0.0.1:9092",
        "KAFKA_HEAP_OPTS": "-Xmx1g",
        "KAFKA_": "x",
        "KAFKA_LINGER_MS": "7",
        "KAFKA_FETCH_MIN_BYTES": "2",
    }
    properties = client_properties(loaded(KAFKA_BOOTSTRAP_SERVERS="a:1"), environment, logger(capture))
    assert properties == {"linger.ms": "7", "fetch.min.bytes": "2", "bootstrap.servers": "a:1"}
    (warning,) = capture.entries
    assert warning["log_level"] == "warning"
    assert warning["names"] == ["KAFKA_", "KAFKA_HEAP_OPTS", "KAFKA_PORT"]


def test_without_unknown_properties_there_is_no_warning(loaded: Callable[..., Settings], capture: LogCapture) -> None:
    """Properties of the consumer, the producer, a topic and of security are all known, each judged by itself."""
    environment = {
        "KAFKA_SESSION_TIMEOUT_MS": "20000",
        "KAFKA_TRANSACTION_TIMEOUT_MS": "20000",
        "KAFKA_COMPRESSION_TYPE": "zstd",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "u",
        "KAFKA_SASL_PASSWORD": "p",
        "KAFKA_SSL_CA_LOCATION": "/nowhere/ca.pem",
    }
    assert len(client_properties(loaded(), environment, logger(capture))) == len(environment) + 1
    assert capture.entries == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [("KAFKA_SECURITY_PROTOCOL", "bogus"), ("KAFKA_MESSAGE_MAX_BYTES", "abc"), ("KAFKA_COMPRESSION_TYPE", "brotli")],
)
def test_a_bad_value_of_a_property_names_the_variable(
    loaded: Callable[..., Settings], capture: LogCapture, variable: str, value: str
) -> None:
    """What librdkafka refuses is said of the variable that the operator wrote."""
    with pytest.raises(SettingsError, match=f"^{variable}='{value}': expected a value .*Invalid value"):
        client_properties(loaded(), {variable: value}, logger(capture))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA_TRANSACTION_TIMEOUT_MS", "1"),  # "... is outside allowed range"
        ("KAFKA_SOCKET_KEEPALIVE_ENABLE", "maybe"),  # "Expected bool value for ..."
        ("KAFKA_DEFAULT_TOPIC_CONFIG", "x"),  # AttributeError inside the binding
    ],
)
def test_other_bad_values_of_properties_name_the_variable(
    loaded: Callable[..., Settings], capture: LogCapture, variable: str, value: str
) -> None:
    """The same holds for a number out of range, a word for a boolean, and what only the binding knows."""
    with pytest.raises(SettingsError, match=variable):
        client_properties(loaded(), {variable: value}, logger(capture))


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_librdkafka_takes_the_clients_configuration(
    loaded: Callable[..., Settings], capture: LogCapture, guarantee: str
) -> None:
    """Both clients can be built from the defaults: a property renamed in a later librdkafka shows here."""
    settings = loaded(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", PROCESSING_GUARANTEE=guarantee)
    broker = kafka_broker(settings, {}, logger(capture))
    Producer(broker.producer_config())
    Consumer(broker.consumer_config()).close()
    assert capture.entries == []


def test_what_the_worker_owns_is_set(loaded: Callable[..., Settings], capture: LogCapture) -> None:
    """The properties on which the guarantees rest, as the protocol names them; static membership always."""
    settings = loaded(KAFKA_BOOTSTRAP_SERVERS="a:1", CONSUMER_GROUP="g", INSTANCE_ID="i")
    broker = kafka_broker(settings, {}, logger(capture))
    consumer, producer = broker.consumer_config(), broker.producer_config()
    expected = {
        "group.id": "g",
        "group.instance.id": "i",
        "group.protocol": "classic",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "partition.assignment.strategy": "cooperative-sticky",
    }
    assert {name: consumer[name] for name in expected} == expected
    assert (producer["enable.idempotence"], producer["acks"], producer["transactional.id"]) == (True, "all", "g-i")


def test_at_least_once_has_no_transactional_id(loaded: Callable[..., Settings], capture: LogCapture) -> None:
    """Without transactions the producer is still idempotent and waits for all replicas."""
    settings = loaded(KAFKA_BOOTSTRAP_SERVERS="a:1", PROCESSING_GUARANTEE="at_least_once")
    producer = kafka_broker(settings, {}, logger(capture)).producer_config()
    assert "transactional.id" not in producer
    assert (producer["enable.idempotence"], producer["acks"]) == (True, "all")


def test_an_operator_may_change_the_rest(loaded: Callable[..., Settings], capture: LogCapture) -> None:
    """Time-outs are the operator's; a transaction's messages wait no longer than the transaction."""
    settings = loaded(KAFKA_BOOTSTRAP_SERVERS="a:1")
    environment = {"KAFKA_SESSION_TIMEOUT_MS": "30000", "KAFKA_TRANSACTION_TIMEOUT_MS": "3000"}
    broker = kafka_broker(settings, environment, logger(capture))
    assert broker.consumer_config()["session.timeout.ms"] == "30000"
    producer = broker.producer_config()
    assert (producer["transaction.timeout.ms"], producer["message.timeout.ms"]) == ("3000", "3000")
