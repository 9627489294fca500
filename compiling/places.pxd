cdef class Place:
    cdef public dict children
    cdef public str text
    cdef public bint timing
    cdef public tuple value
    cpdef Place child(self, key)
cdef class _Roots:
    cdef public Py_ssize_t left
    cdef public dict trees
    cpdef bint room(self)
cpdef Place root(str text)
