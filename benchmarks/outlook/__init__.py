"""The stock outlook on a real year and on a made-up shop whose truth is known: what it says, and what can be said."""
