cimport cython
from differ.sink cimport Sink, Change, written
from differ.places cimport root
from differ.echoes cimport unechoed
from differ.walk cimport Walk
from differ.raws cimport differing, is_text
cpdef body(Sink sink, left, right, context)
@cython.locals(walk=Walk, found=Py_ssize_t, whole=bint)
cpdef bint cut(Sink sink, bytes old, bytes new, context, owns) except *
