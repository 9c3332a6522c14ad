"""Broker settings for one small node, the same for the Java process and the container."""

from collections.abc import Mapping
from types import MappingProxyType

#: Everything else stays at Kafka's default: retention, so that tests prove that topics set their own, and the
#: transaction coordinator's scan interval of 10 s, so that time-outs behave as in production (`session` shortens it).
SINGLE_NODE: Mapping[str, str] = MappingProxyType(
    {
        # Topics are created by name and partition count; a typing error must not create one.
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "true",
        # One node can hold one replica.
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # The defaults of 50 partitions each cost seconds at first use and at every restart.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "4",
        # Default 3 s, paid by every new consumer group.
        "group.initial.rebalance.delay.ms": "0",
        # The defaults are 9 s and 2 s. After a kill, the controller refuses the new incarnation of the broker until the
        # old one's session has run out: a restart took 14 s with the defaults and takes 7 to 8 s with these.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # Two cores are shared with the clients under test.
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        # Default 128 MiB, taken from the heap at start; the compacted topics here hold few keys.
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    },
)


def server_properties(*, broker_port: int, controller_port: int, data: str, extra: Mapping[str, str]) -> str:
    """Return a `server.properties` for a combined broker and controller on 127.0.0.1; `extra` wins over all else."""
    node = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{broker_port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker_port}",
        "log.dirs": data,
    }
    return "".join(f"{key}={value}\n" for key, value in {**node, **SINGLE_NODE, **extra}.items())


def sasl_listener(
    *, broker_port: int, sasl_port: int, controller_port: int, users: Mapping[str, str]
) -> dict[str, str]:
    """Return properties that add a listener on `sasl_port` where these users (name: password) log in by SASL/PLAIN.

    They may do what ACLs grant them, at first nothing; whoever comes through `broker_port` may do everything.
    """
    logins = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    return {
        "listeners": f"PLAINTEXT://127.0.0.1:{broker_port},SASL://127.0.0.1:{sasl_port},"
        f"CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker_port},SASL://127.0.0.1:{sasl_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f"{logins};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def environment_name(key: str) -> str:
    """Return the environment variable that sets the broker property `key` in a cp-kafka container.

    >>> environment_name("transaction.state.log.min.isr")
    'KAFKA_TRANSACTION_STATE_LOG_MIN_ISR'
    """
    return "KAFKA_" + key.replace("-", "___").replace("_", "__").replace(".", "_").upper()
