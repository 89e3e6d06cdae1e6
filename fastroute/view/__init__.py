"""What a running gateway shows of itself: pure functions from a State to answers of the admin API.

A State is what the last pass of the control plane made, which is frozen, and copies of what the workers counted and how
they stand. The answers are typed (answers.py), and their types are the schemas of the OpenAPI document (openapi.py). No
answer contains a private key, a token, or a value that a header filter sets (hidden.py).
"""
