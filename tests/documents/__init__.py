"""The documents, held to the code: what their blocks say is run, what they refer to is there."""
