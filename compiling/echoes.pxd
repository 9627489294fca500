cpdef bytes unechoed(bytes data, own)
