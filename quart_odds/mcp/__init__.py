"""Tools for language models (Model Context Protocol): they read what the API reads, and change nothing.

The official package is named `mcp` as well: `import mcp` is that one, also in these modules.
"""
