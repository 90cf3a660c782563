"""No network here."""


class PathManager:
    """Fetches nothing."""

    @staticmethod
    def get_local_path(address):
        raise OSError("no route to host")
