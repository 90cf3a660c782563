"""Where the object is: pictures -> boxes, by networks that others trained."""
