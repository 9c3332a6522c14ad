"""The real client behind `consumer.broker`."""
