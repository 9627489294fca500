cimport cython
@cython.no_gc
@cython.freelist(8)
cdef class Change:
    cdef public str kind
    cdef public object facet
    cdef public object old
    cdef public object new
    cdef public str signature
    cdef public str klass
    cdef public object flags
    cdef public Py_ssize_t count
    cdef public object more
    @cython.locals(count=Py_ssize_t)
    cpdef again(self, facet, str klass, flags, old, new)
    @cython.locals(old=bytes, new=bytes, data=bytes)
    cpdef told(self, str where)
    cpdef _alone(self, bytes data)
    cpdef tuple _excerpts(self, bytes old, bytes new)
@cython.no_gc
@cython.freelist(8)
cdef class Sink:
    cdef public tuple now_ns
    cdef public object ports
    cdef public object port
    cdef public dict found
    cdef public object greedy
    cpdef bint echoed(self, old, new)
    cpdef add(self, str where, Change change)
    @cython.locals(found=Change)
    cpdef put(self, tuple key, Change change)
    cpdef greedily(self, str where)
    cpdef str settle(self)
    cpdef forget(self, str where)
cpdef bytes written(value)
cpdef excerpt(bytes data)
cpdef clock_flag(old, new, tuple now_ns)
