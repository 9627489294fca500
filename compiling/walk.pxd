cimport cython
from differ.places cimport Place
from differ.sink cimport Sink, Change
@cython.no_gc
@cython.freelist(8)
cdef class Walk:
    cdef public Sink sink
    cdef public object bounds
    cdef public bint mixed
    cdef public Py_ssize_t size
    cdef public object deadline
    cdef public Py_ssize_t met
    cdef public bint careful
    cdef public tuple held
    cdef public bint lossy
    cdef public object effort
    cdef public bint named
    cdef public list maps
    cpdef bint trees(self, old, new, str where) except *
    cpdef bint proved(self) except *
    @cython.locals(met=Py_ssize_t, kind=object)
    cpdef walk(self, old, new, Place place, Py_ssize_t depth)
    cpdef _leaves(self, old, new, Place place)
    cpdef _types(self, old, new, Place place)
    cpdef check(self, Py_ssize_t depth)
    @cython.locals(children=dict, gone=bint, met=Py_ssize_t)
    cpdef objects(self, dict old, dict new, Place place, Py_ssize_t depth)
    cpdef _apart(self, dict old, dict new, Place place, Py_ssize_t depth)
    cpdef put_off(self, here, Place place, Py_ssize_t depth)
    cpdef settle(self)
    @cython.locals(inside=Place)
    cpdef _members(self, here, dict names, Place place, Py_ssize_t depth)
    cpdef came_or_went(self, str kind, Place place, str key, old, new)
    @cython.locals(held=tuple)
    cpdef bint _equal(self, old, new) except *
    cpdef _arrays(self, list old, list new, Place place, Py_ssize_t depth)
    cpdef list _unlike(self, list olds, list news)
    @cython.locals(sink=Sink, change=Change)
    cpdef strings(self, str old, str new, tuple key)
    @cython.locals(sink=Sink, key=tuple, before=Change)
    cpdef numbers(self, old, new, Place place)
from differ.places cimport root
from differ.aligning cimport exactly_equal
