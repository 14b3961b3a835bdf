from .far import score

__all__ = ["score"]
