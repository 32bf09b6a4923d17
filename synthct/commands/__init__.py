"""The commands: the only place that parses arguments, reads the environment or prints. One thin file a command."""
