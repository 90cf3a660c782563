"""A stand-in for detectron2; prints where no answer may be mixed up with it."""

print("detectron2 (stand-in) says hello on stdout")
__version__ = "0.6 (stand-in)"
