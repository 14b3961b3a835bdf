"""Pictures of a graph and of its plan: a page, SVG, Mermaid, DOT or lines of text."""
