cpdef bint unique(list keys) except *
