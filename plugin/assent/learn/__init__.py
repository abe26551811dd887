"""Training and measuring with pictures whose content is known. Nothing that serves imports this room."""
