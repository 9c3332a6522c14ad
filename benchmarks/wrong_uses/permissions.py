"""A broker whose users may do some things and not others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSWORD: Final = "till-secret"  # noqa: S105 -- of a broker that lives for a minute


class Grant(NamedTuple):
    """What a worker needs, in one word that a test can leave out.

    Attributes:
        resource: topic, group or transactional id.
        name: the environment variable that holds its name.
        operations: what is granted.
    """

    resource: ResourceType
    name: str
    operations: tuple[AclOperation, ...]


_ALL: Final = (AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
GRANTS: Final = {
    "input": Grant(ResourceType.TOPIC, "INPUT_TOPIC", (AclOperation.READ, *_ALL)),
    "output": Grant(ResourceType.TOPIC, "OUTPUT_TOPIC", (AclOperation.WRITE, AclOperation.READ, *_ALL)),
    "dead-letters": Grant(ResourceType.TOPIC, "DEAD_LETTER_TOPIC", (AclOperation.WRITE, *_ALL)),
    "group": Grant(ResourceType.GROUP, "CONSUMER_GROUP", (AclOperation.READ,)),
    "transactional-id": Grant(
        ResourceType.TRANSACTIONAL_ID, "TRANSACTIONAL_ID", (AclOperation.WRITE, AclOperation.DESCRIBE)
    ),
}
"""What the operator's pages ask for, by what is to be read or written."""


def grant_all_but(servers: str, user: str, environment: Mapping[str, str], lacking: tuple[str, AclOperation]) -> None:
    """Grant a user all that a worker with this environment needs, but for one operation."""
    names = {**environment, "TRANSACTIONAL_ID": f"{environment['CONSUMER_GROUP']}-{environment['INSTANCE_ID']}"}
    bindings = [
        AclBinding(
            grant.resource,
            names[grant.name],
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for what, grant in GRANTS.items()
        for operation in grant.operations
        if (what, operation) != lacking
    ]
    admin = AdminClient({"bootstrap.servers": servers})
    for granted in admin.create_acls(bindings).values():
        granted.result(30)


def login(servers: str, user: str, password: str = PASSWORD) -> dict[str, str]:
    """Return the variables with which a worker logs in."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": user,
        "KAFKA_SASL_PASSWORD": password,
    }
