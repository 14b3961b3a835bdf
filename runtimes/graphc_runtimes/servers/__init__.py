"""Nodes that ask other servers: how each kind of server is asked, and what its answers mean.

`find.py` gives the dialect of a kind. A dialect turns arrays into calls and answers into arrays, and knows nothing of
connections; `connection.py` sends the calls, by `plain_http.py` or, for https://, by `secure_http.py`.
"""
