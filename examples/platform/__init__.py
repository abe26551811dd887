"""A small social platform that uses Assent: accounts, posts, photos at unguessable addresses, webhooks out and in."""
