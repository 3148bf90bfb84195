# cmake -DINPUT=... -DOUTPUT=... -DFROM=... -DTO=... -P mutate.cmake: copies a source file with a mistake in it. Fails where there is no
# place for it.
file(READ "${INPUT}" text)
string(FIND "${text}" "${FROM}" place)
if(place EQUAL -1)
  message(FATAL_ERROR "${INPUT} has no place for the mistake: ${FROM}")
endif()
string(REPLACE "${FROM}" "${TO}" text "${text}")
file(WRITE "${OUTPUT}" "${text}")
