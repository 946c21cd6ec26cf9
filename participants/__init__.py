"""The message handlers: one file a participant, each deployable alone."""
