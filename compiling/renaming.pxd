cimport cython
from differ.sink cimport Sink, Change
cpdef bint _may_hold(str where, Change change) except *
