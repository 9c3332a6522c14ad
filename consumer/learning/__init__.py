"""The pure core: features, model, ledger, identities, and the partition task that ties them together.

Nothing here imports a Kafka client, a clock or the file system.
"""

from consumer.learning.features import get_features
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.regressor import train_model
from consumer.learning.task import PartitionTask

__all__ = ["PartitionTask", "get_features", "get_ml_pipeline", "train_model"]
