//! What nginx has and this proxy has not: known by name, so that an error says so instead of taking it for a
//! slip of the pen.

/// Names of variables of the same, but for those that would be empty here anyway.
pub(super) const VARIABLES: &str = "acme_certificate acme_certificate_key ancient_browser date_gmt date_local \
      fastcgi_path_info fastcgi_script_name invalid_referer is_request_port jwt_payload limit_rate memcached_key \
      modern_browser msie realpath_root request_port secure_link secure_link_expires session_time slice_range \
      ssl_client_sigalg ssl_ech_outer_server_name ssl_ech_status ssl_sigalg tcpinfo_rcv_space tcpinfo_rtt \
      tcpinfo_rttvar tcpinfo_snd_cwnd uid_reset upstream_cache_age upstream_cache_key upstream_last_addr \
      upstream_last_server_name upstream_queue_time";

/// The beginnings of the names of such families.
pub(super) const FAMILIES: &str = "geoip_ jwt_claim_ jwt_header_ oidc_ otel_ proxy_protocol_tlv_ sent_trailer_ \
    session_log_ upstream_trailer_";

/// The names, under what they are for. Those of a default build of nginx 1.22, of newer releases, and of
/// nginx Plus.
pub(super) const NAMES: &[(&str, &str)] = &[
    (
        "Requests to servers",
        "proxy_header_timeout proxy_allow_http09 proxy_bind_dynamic \
      proxy_request_dynamic client_body_early_read keepalive_min_timeout",
    ),
    ("Other protocols", "stream mail ssl_engine google_perftools_profiles"),
    (
        "Rewriting",
        "if rewrite break limit_except geo json_max_depth json_set num_map split_clients valid_referers \
      referer_hash_max_size referer_hash_bucket_size post_action internal_redirect",
    ),
    (
        "Limits",
        "limit_conn limit_conn_zone limit_conn_log_level limit_conn_status limit_conn_dry_run limit_req \
      limit_req_zone limit_req_log_level limit_req_status limit_req_dry_run limit_rate limit_rate_after \
      proxy_limit_rate max_headers",
    ),
    (
        "Authentication",
        "auth_basic_user_file auth_delay auth_request auth_request_set auth_jwt auth_jwt_key_file \
      auth_jwt_claim_set auth_jwt_header_set auth_jwt_key_cache auth_jwt_key_request auth_jwt_leeway \
      auth_jwt_require auth_jwt_type auth_oidc oidc_provider auth_require \
      secure_link secure_link_md5 secure_link_secret satisfy",
    ),
    (
        "TLS, HTTP/2 and HTTP/3",
        "ssl_certificate ssl_certificate_key ssl_password_file ssl_dhparam ssl_ecdh_curve ssl_protocols \
      ssl_ciphers ssl_buffer_size ssl_verify_client ssl_verify_depth ssl_client_certificate \
      ssl_trusted_certificate ssl_prefer_server_ciphers ssl_session_cache ssl_session_tickets \
      ssl_session_ticket_key ssl_session_timeout ssl_crl ssl_ocsp ssl_ocsp_responder ssl_ocsp_cache ssl_stapling \
      ssl_stapling_file ssl_stapling_responder ssl_stapling_verify ssl_early_data ssl_conf_command \
      ssl_reject_handshake ssl_certificate_cache ssl_certificate_compression ssl_ech_file ssl_key_log \
      ssl_object_cache_inheritable proxy_ssl_session_reuse proxy_ssl_protocols proxy_ssl_ciphers proxy_ssl_name \
      proxy_ssl_server_name proxy_ssl_verify proxy_ssl_verify_depth proxy_ssl_trusted_certificate proxy_ssl_crl \
      proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_password_file proxy_ssl_conf_command \
      proxy_ssl_certificate_cache proxy_ssl_key_log acme_issuer acme_shared_zone acme_certificate http2 \
      http2_recv_buffer_size http2_pool_size http2_max_concurrent_streams http2_max_concurrent_pushes \
      http2_max_requests http2_max_field_size http2_max_header_size http2_body_preread_size \
      http2_streams_index_size http2_recv_timeout http2_idle_timeout http2_chunk_size http2_push_preload \
      http2_push http3 http3_hq http3_max_concurrent_streams http3_stream_buffer_size \
      quic_active_connection_id_limit quic_bpf quic_gso quic_host_key quic_retry",
    ),
    (
        "Caches",
        "proxy_cache_key proxy_cache_path proxy_cache_bypass proxy_no_cache proxy_cache_valid \
      proxy_cache_min_uses proxy_cache_max_range_offset proxy_cache_use_stale proxy_cache_methods \
      proxy_cache_lock proxy_cache_lock_timeout proxy_cache_lock_age proxy_cache_revalidate \
      proxy_cache_convert_head proxy_cache_background_update proxy_cache_purge proxy_store_access slice",
    ),
    (
        "Compression and changes of bodies",
        "gzip_buffers gzip_types gzip_comp_level gzip_window gzip_hash postpone_gzipping gzip_no_buffer \
      gzip_min_length gzip_vary gzip_http_version gzip_proxied gzip_disable gunzip_buffers ssi_silent_errors \
      ssi_ignore_recycled_buffers ssi_min_file_chunk ssi_value_length ssi_types ssi_last_modified charset_types \
      charset_map source_charset override_charset sub_filter sub_filter_types sub_filter_once \
      sub_filter_last_modified add_before_body add_after_body addition_types xslt_stylesheet image_filter",
    ),
    (
        "More fields of responses",
        "add_trailer add_trailer_inherit add_header_inherit expires proxy_cookie_domain \
      proxy_cookie_path proxy_cookie_flags early_hints proxy_pass_trailers proxy_allow_upstream userid_service \
      userid_name userid_domain userid_path userid_expires userid_flags userid_p3p userid_mark",
    ),
    (
        "Other ways to answer",
        "autoindex_format autoindex_localtime autoindex_exact_size mirror mirror_request_body empty_gif flv mp4 \
      mp4_buffer_size mp4_max_buffer_size mp4_start_key_frame dav_access dav_methods create_full_put_path \
      min_delete_depth perl perl_modules perl_require perl_set js_import js_content js_set js_body_filter \
      js_context_reuse js_context_reuse_max_size js_engine js_header_filter js_path js_periodic \
      js_preload_object js_shared_array_zone js_shared_dict_zone js_var f4f f4f_buffer_size hls hls_buffers \
      hls_forward_args hls_fragment hls_mp4_buffer_size hls_mp4_max_buffer_size api status modern_browser \
      ancient_browser modern_browser_value ancient_browser_value geoip_country geoip_city geoip_org geoip_proxy \
      geoip_proxy_recursive",
    ),
    (
        "Reports",
        "session_log session_log_format session_log_zone status_zone mgmt otel_exporter otel_service_name otel_trace \
      otel_trace_context otel_span_name otel_span_attr",
    ),
    ("Files", "disable_symlinks directio_alignment"),
    ("Groups of servers", "keyval keyval_zone sticky_cookie_insert state ntlm proxy_next_upstream_health"),
    (
        "Servers of other protocols",
        "tunnel_pass tunnel_allow_upstream tunnel_bind tunnel_bind_dynamic tunnel_buffer_size \
      tunnel_connect_timeout tunnel_next_upstream tunnel_next_upstream_timeout tunnel_next_upstream_tries \
      tunnel_read_timeout tunnel_send_lowat tunnel_send_timeout tunnel_socket_keepalive fastcgi_pass \
      fastcgi_index fastcgi_split_path_info fastcgi_store fastcgi_store_access fastcgi_buffering \
      fastcgi_request_buffering fastcgi_ignore_client_abort fastcgi_bind fastcgi_socket_keepalive \
      fastcgi_connect_timeout fastcgi_send_timeout fastcgi_send_lowat fastcgi_buffer_size \
      fastcgi_pass_request_headers fastcgi_pass_request_body fastcgi_intercept_errors fastcgi_read_timeout \
      fastcgi_buffers fastcgi_busy_buffers_size fastcgi_force_ranges fastcgi_limit_rate fastcgi_cache \
      fastcgi_cache_key fastcgi_cache_path fastcgi_cache_bypass fastcgi_no_cache fastcgi_cache_valid \
      fastcgi_cache_min_uses fastcgi_cache_max_range_offset fastcgi_cache_use_stale fastcgi_cache_methods \
      fastcgi_cache_lock fastcgi_cache_lock_timeout fastcgi_cache_lock_age fastcgi_cache_revalidate \
      fastcgi_cache_background_update fastcgi_max_temp_file_size fastcgi_temp_file_write_size \
      fastcgi_next_upstream fastcgi_next_upstream_tries fastcgi_next_upstream_timeout fastcgi_param \
      fastcgi_pass_header fastcgi_hide_header fastcgi_ignore_headers fastcgi_catch_stderr fastcgi_keep_conn \
      uwsgi_pass uwsgi_modifier1 uwsgi_modifier2 uwsgi_store uwsgi_store_access uwsgi_buffering \
      uwsgi_request_buffering uwsgi_ignore_client_abort uwsgi_bind uwsgi_socket_keepalive uwsgi_connect_timeout \
      uwsgi_send_timeout uwsgi_buffer_size uwsgi_pass_request_headers uwsgi_pass_request_body \
      uwsgi_intercept_errors uwsgi_read_timeout uwsgi_buffers uwsgi_busy_buffers_size uwsgi_force_ranges \
      uwsgi_limit_rate uwsgi_cache uwsgi_cache_key uwsgi_cache_path uwsgi_cache_bypass uwsgi_no_cache \
      uwsgi_cache_valid uwsgi_cache_min_uses uwsgi_cache_max_range_offset uwsgi_cache_use_stale \
      uwsgi_cache_methods uwsgi_cache_lock uwsgi_cache_lock_timeout uwsgi_cache_lock_age uwsgi_cache_revalidate \
      uwsgi_cache_background_update uwsgi_max_temp_file_size uwsgi_temp_file_write_size uwsgi_next_upstream \
      uwsgi_next_upstream_tries uwsgi_next_upstream_timeout uwsgi_param uwsgi_string uwsgi_pass_header \
      uwsgi_hide_header uwsgi_ignore_headers uwsgi_ssl_session_reuse uwsgi_ssl_protocols uwsgi_ssl_ciphers \
      uwsgi_ssl_name uwsgi_ssl_server_name uwsgi_ssl_verify uwsgi_ssl_verify_depth uwsgi_ssl_trusted_certificate \
      uwsgi_ssl_crl uwsgi_ssl_certificate uwsgi_ssl_certificate_key uwsgi_ssl_password_file \
      uwsgi_ssl_conf_command scgi_pass scgi_store scgi_store_access scgi_buffering scgi_request_buffering \
      scgi_ignore_client_abort scgi_bind scgi_socket_keepalive scgi_connect_timeout scgi_send_timeout \
      scgi_buffer_size scgi_pass_request_headers scgi_pass_request_body scgi_intercept_errors scgi_read_timeout \
      scgi_buffers scgi_busy_buffers_size scgi_force_ranges scgi_limit_rate scgi_cache scgi_cache_key \
      scgi_cache_path scgi_cache_bypass scgi_no_cache scgi_cache_valid scgi_cache_min_uses \
      scgi_cache_max_range_offset scgi_cache_use_stale scgi_cache_methods scgi_cache_lock \
      scgi_cache_lock_timeout scgi_cache_lock_age scgi_cache_revalidate scgi_cache_background_update \
      scgi_max_temp_file_size scgi_temp_file_write_size scgi_next_upstream scgi_next_upstream_tries \
      scgi_next_upstream_timeout scgi_param scgi_pass_header scgi_hide_header scgi_ignore_headers grpc_pass \
      grpc_bind grpc_socket_keepalive grpc_connect_timeout grpc_send_timeout grpc_intercept_errors \
      grpc_buffer_size grpc_read_timeout grpc_next_upstream grpc_next_upstream_tries grpc_next_upstream_timeout \
      grpc_set_header grpc_pass_header grpc_hide_header grpc_ignore_headers grpc_ssl_session_reuse \
      grpc_ssl_protocols grpc_ssl_ciphers grpc_ssl_name grpc_ssl_server_name grpc_ssl_verify \
      grpc_ssl_verify_depth grpc_ssl_trusted_certificate grpc_ssl_crl grpc_ssl_certificate \
      grpc_ssl_certificate_key grpc_ssl_password_file grpc_ssl_conf_command memcached_pass memcached_bind \
      memcached_socket_keepalive memcached_connect_timeout memcached_send_timeout memcached_buffer_size \
      memcached_read_timeout memcached_next_upstream memcached_next_upstream_tries \
      memcached_next_upstream_timeout memcached_gzip_flag",
    ),
];
