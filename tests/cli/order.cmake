# Read by CTest, after the tests of redismutex_cli_tests were found. See CMakeLists.txt.
foreach(test IN LISTS redismutex_cli_tests_TESTS)
  if(test MATCHES "OutliveTries")
    set_tests_properties("${test}" PROPERTIES RUN_SERIAL TRUE)
  elseif(test MATCHES "Embedded")
    set_tests_properties("${test}" PROPERTIES RESOURCE_LOCK embedded_server)
  endif()
endforeach()
