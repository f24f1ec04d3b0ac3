# Run by cmake --install, when the prefix is known: the configuration, which is left alone where there
# is one, and the systemd unit with the paths of this installation.
set(BIN_DIR "${CMAKE_INSTALL_PREFIX}/bin")
set(DOC_DIR "${CMAKE_INSTALL_PREFIX}/share/doc/pgrecall")
set(CONFIG_FILE "${CMAKE_INSTALL_PREFIX}/etc/pgrecall/pgrecall.toml")
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(CONFIG_FILE "/etc/pgrecall/pgrecall.toml")
endif()

set(config_target "$ENV{DESTDIR}${CONFIG_FILE}")
if(EXISTS "${config_target}")
  message(STATUS "Kept: ${config_target}")
else()
  message(STATUS "Installing: ${config_target}")
  get_filename_component(folder "${config_target}" DIRECTORY)
  # Only its owner may read it: a password comes to stand in it.
  file(COPY "${CMAKE_CURRENT_LIST_DIR}/../config/pgrecall.toml" DESTINATION "${folder}"
       FILE_PERMISSIONS OWNER_READ OWNER_WRITE)
endif()

set(unit_target "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/lib/systemd/system/pgrecall.service")
message(STATUS "Installing: ${unit_target}")
configure_file("${CMAKE_CURRENT_LIST_DIR}/pgrecall.service.in" "${unit_target}" @ONLY)
