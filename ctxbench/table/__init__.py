"""A table before it is drawn, and the four that draw it: terminal, Markdown, LaTeX, HTML."""
