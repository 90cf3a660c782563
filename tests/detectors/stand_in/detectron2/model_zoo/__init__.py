"""Addresses of weights."""


def get_checkpoint_url(name):
    """Where the weights of a configuration lie."""
    if "unpublished" in name:
        raise RuntimeError("not available")
    return f"https://zoo.example/{name}"
