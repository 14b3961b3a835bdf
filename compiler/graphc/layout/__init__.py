"""The one layout of graph files: `graphc fmt` writes it, and no comment is lost."""
