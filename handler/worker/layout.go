package worker

// #include "layout.h"
import "C"

import "unsafe"

// layoutInC is what the C compiler says of handler/shm/layout.h, for the test that compares it with package shm, since
// test files cannot contain C: for each struct its size, then the offsets of its fields in their order.
func layoutInC() map[string][]uintptr {
	var (
		header    C.mb_in_header
		inLoop    C.mb_in_loop
		inWorker  C.mb_in_worker
		inCell    C.mb_in_cell
		outLoop   C.mb_out_loop
		outWorker C.mb_out_worker
		outCell   C.mb_out_cell
		address   C.mb_address
		head      C.mb_head
		field     C.mb_field
		msg       C.mb_msg
		fork      C.mb_msg_fork
		forked    C.mb_msg_forked
		exited    C.mb_msg_exited
		kill      C.mb_msg_kill
		test      C.mb_msg_test
		access    C.mb_msg_access
		report    C.mb_msg_report
		entry     C.mb_entry

		dictionary   C.mb_msg_dictionary
		dictionaryOK C.mb_msg_dictionary_ok

		declare       C.mb_msg_declare
		ask           C.mb_ask
		answerKey     C.mb_answer_key
		answerMessage C.mb_answer_message
		subscription  C.mb_subscription
		wsAccept      C.mb_ws_accept
		wsEvent       C.mb_ws_event
		wsVerb        C.mb_ws_verb
		wsRecord      C.mb_ws_record
	)
	return map[string][]uintptr{
		"Header": {unsafe.Sizeof(header), unsafe.Offsetof(header.magic), unsafe.Offsetof(header.version),
			unsafe.Offsetof(header.loops), unsafe.Offsetof(header.workers), unsafe.Offsetof(header.cells),
			unsafe.Offsetof(header.queue_cap), unsafe.Offsetof(header.in_window), unsafe.Offsetof(header.out_window),
			unsafe.Offsetof(header.in_size), unsafe.Offsetof(header.out_size),
			unsafe.Offsetof(header.in_loops), unsafe.Offsetof(header.in_loop_stride),
			unsafe.Offsetof(header.in_workers), unsafe.Offsetof(header.in_worker_stride),
			unsafe.Offsetof(header.in_cells), unsafe.Offsetof(header.in_cell_stride),
			unsafe.Offsetof(header.out_loops), unsafe.Offsetof(header.out_loop_stride),
			unsafe.Offsetof(header.out_workers), unsafe.Offsetof(header.out_worker_stride),
			unsafe.Offsetof(header.out_cells), unsafe.Offsetof(header.out_cell_stride),
			unsafe.Offsetof(header.id_prefix)},
		"InLoop":   {unsafe.Sizeof(inLoop), unsafe.Offsetof(inLoop.q_head)},
		"InWorker": {unsafe.Sizeof(inWorker), unsafe.Offsetof(inWorker.home), unsafe.Offsetof(inWorker.quit), unsafe.Offsetof(inWorker.stopping)},
		"InCell": {unsafe.Sizeof(inCell), unsafe.Offsetof(inCell.gen), unsafe.Offsetof(inCell.in_head),
			unsafe.Offsetof(inCell.out_tail), unsafe.Offsetof(inCell.flags), unsafe.Offsetof(inCell.published)},
		"OutLoop": {unsafe.Sizeof(outLoop), unsafe.Offsetof(outLoop.q_tail), unsafe.Offsetof(outLoop.asleep)},
		"OutWorker": {unsafe.Sizeof(outWorker), unsafe.Offsetof(outWorker.asleep),
			unsafe.Offsetof(outWorker.finished), unsafe.Offsetof(outWorker.at)},
		"OutCell": {unsafe.Sizeof(outCell), unsafe.Offsetof(outCell.owner), unsafe.Offsetof(outCell.in_tail),
			unsafe.Offsetof(outCell.out_head), unsafe.Offsetof(outCell.out_start), unsafe.Offsetof(outCell.flags),
			unsafe.Offsetof(outCell.result), unsafe.Offsetof(outCell.claimed)},
		"Address": {unsafe.Sizeof(address), unsafe.Offsetof(address.family), unsafe.Offsetof(address.port),
			unsafe.Offsetof(address.ip)},
		"Head": {unsafe.Sizeof(head), unsafe.Offsetof(head.size), unsafe.Offsetof(head.kind),
			unsafe.Offsetof(head.listener), unsafe.Offsetof(head.flags), unsafe.Offsetof(head.nfields),
			unsafe.Offsetof(head.content_length), unsafe.Offsetof(head.exchange),
			unsafe.Offsetof(head.raw_off), unsafe.Offsetof(head.raw_len),
			unsafe.Offsetof(head.method_off), unsafe.Offsetof(head.method_len),
			unsafe.Offsetof(head.path_off), unsafe.Offsetof(head.path_len),
			unsafe.Offsetof(head.query_off), unsafe.Offsetof(head.query_len),
			unsafe.Offsetof(head.id_off), unsafe.Offsetof(head.id_len),
			unsafe.Offsetof(head.local), unsafe.Offsetof(head.remote), unsafe.Offsetof(head.client)},
		"Field": {unsafe.Sizeof(field), unsafe.Offsetof(field.name_off), unsafe.Offsetof(field.name_len),
			unsafe.Offsetof(field.value_off), unsafe.Offsetof(field.value_len)},
		"Msg":         {unsafe.Sizeof(msg), unsafe.Offsetof(msg._type), unsafe.Offsetof(msg.len)},
		"MsgForkBody": {unsafe.Sizeof(fork), unsafe.Offsetof(fork.pool), unsafe.Offsetof(fork.slot)},
		"MsgForkedBody": {unsafe.Sizeof(forked), unsafe.Offsetof(forked.pool), unsafe.Offsetof(forked.slot),
			unsafe.Offsetof(forked.pid), unsafe.Offsetof(forked.err)},
		"MsgExitedBody": {unsafe.Sizeof(exited), unsafe.Offsetof(exited.pid), unsafe.Offsetof(exited.status)},
		"MsgKillBody":   {unsafe.Sizeof(kill), unsafe.Offsetof(kill.pid), unsafe.Offsetof(kill.sig)},
		"MsgTestBody":   {unsafe.Sizeof(test), unsafe.Offsetof(test.pool), unsafe.Offsetof(test.seconds)},
		"MsgAccessBody": {unsafe.Sizeof(access), unsafe.Offsetof(access.time), unsafe.Offsetof(access.service),
			unsafe.Offsetof(access.total), unsafe.Offsetof(access.bytes), unsafe.Offsetof(access.status),
			unsafe.Offsetof(access.lost), unsafe.Offsetof(access.ends), unsafe.Offsetof(access.minor),
			unsafe.Offsetof(access.complete), unsafe.Offsetof(access.remote)},
		"MsgReportBody": {unsafe.Sizeof(report), unsafe.Offsetof(report.level), unsafe.Offsetof(report.status),
			unsafe.Offsetof(report.message_cut), unsafe.Offsetof(report.traceback_cut),
			unsafe.Offsetof(report.message_len), unsafe.Offsetof(report.traceback_len),
			unsafe.Offsetof(report.in_len), unsafe.Offsetof(report.method_len), unsafe.Offsetof(report.path_len),
			unsafe.Offsetof(report.id_len), unsafe.Offsetof(report.trace_len), unsafe.Offsetof(report.interval_len), unsafe.Offsetof(report.remote),
			unsafe.Offsetof(report.exchange)},
		"MsgDictionaryBody":   {unsafe.Sizeof(dictionary), unsafe.Offsetof(dictionary.size), unsafe.Offsetof(dictionary.keep)},
		"MsgDictionaryOKBody": {unsafe.Sizeof(dictionaryOK), unsafe.Offsetof(dictionaryOK.size), unsafe.Offsetof(dictionaryOK.key)},
		"MsgDeclareBody": {unsafe.Sizeof(declare), unsafe.Offsetof(declare.messages), unsafe.Offsetof(declare.presence),
			unsafe.Offsetof(declare.bytes), unsafe.Offsetof(declare.age_ms), unsafe.Offsetof(declare.slow_ms)},
		"AskBody": {unsafe.Sizeof(ask), unsafe.Offsetof(ask.name_len), unsafe.Offsetof(ask.event_len), unsafe.Offsetof(ask.id_len),
			unsafe.Offsetof(ask.key_len), unsafe.Offsetof(ask.max)},
		"AnswerKey": {unsafe.Sizeof(answerKey), unsafe.Offsetof(answerKey.count), unsafe.Offsetof(answerKey.len)},
		"AnswerMessage": {unsafe.Sizeof(answerMessage), unsafe.Offsetof(answerMessage.time_ms), unsafe.Offsetof(answerMessage.id_len),
			unsafe.Offsetof(answerMessage.event_len), unsafe.Offsetof(answerMessage.key_len), unsafe.Offsetof(answerMessage.data_len)},
		"SubscriptionBody": {unsafe.Sizeof(subscription), unsafe.Offsetof(subscription.flags), unsafe.Offsetof(subscription.retry_ms),
			unsafe.Offsetof(subscription.keepalive_ms), unsafe.Offsetof(subscription.timeout_ms), unsafe.Offsetof(subscription.fields_len),
			unsafe.Offsetof(subscription.names_len), unsafe.Offsetof(subscription.after_len), unsafe.Offsetof(subscription.key_len),
			unsafe.Offsetof(subscription.first_len)},
		"WSAcceptBody": {unsafe.Sizeof(wsAccept), unsafe.Offsetof(wsAccept.flags), unsafe.Offsetof(wsAccept.message_max),
			unsafe.Offsetof(wsAccept.fields_len), unsafe.Offsetof(wsAccept.names_len), unsafe.Offsetof(wsAccept.after_len),
			unsafe.Offsetof(wsAccept.member_len), unsafe.Offsetof(wsAccept.handler_len), unsafe.Offsetof(wsAccept.state_len),
			unsafe.Offsetof(wsAccept.key_len), unsafe.Offsetof(wsAccept.protocol_len), unsafe.Offsetof(wsAccept.extensions_len),
			unsafe.Offsetof(wsAccept.burst), unsafe.Offsetof(wsAccept.interval)},
		"WSEventBody": {unsafe.Sizeof(wsEvent), unsafe.Offsetof(wsEvent.event), unsafe.Offsetof(wsEvent.opcode), unsafe.Offsetof(wsEvent.code),
			unsafe.Offsetof(wsEvent.handler_len), unsafe.Offsetof(wsEvent.id_len), unsafe.Offsetof(wsEvent.state_len), unsafe.Offsetof(wsEvent.reason_len),
			unsafe.Offsetof(wsEvent.count)},
		"WSVerbHead": {unsafe.Sizeof(wsVerb), unsafe.Offsetof(wsVerb.verb), unsafe.Offsetof(wsVerb.len)},
		"WSRecord":   {unsafe.Sizeof(wsRecord), unsafe.Offsetof(wsRecord.event), unsafe.Offsetof(wsRecord.len), unsafe.Offsetof(wsRecord.code)},
		"Entry": {unsafe.Sizeof(entry), unsafe.Offsetof(entry.scope), unsafe.Offsetof(entry.key_len),
			unsafe.Offsetof(entry.val_len), unsafe.Offsetof(entry._type)},
	}
}

// constantsInC are the numbers of layout.h that are no layout.
func constantsInC() map[string]uint64 {
	return map[string]uint64{
		"Magic": C.MB_MAGIC, "Version": C.MB_VERSION,
		"InEnd": C.MB_IN_END, "InAbort": C.MB_IN_ABORT, "InCancel": C.MB_IN_CANCEL, "InTooLarge": C.MB_IN_TOO_LARGE,
		"InWantRoom": C.MB_IN_WANT_ROOM, "InPeerEnd": C.MB_IN_PEER_END, "InReceived": C.MB_IN_RECEIVED,
		"WhoFree": C.MB_WHO_FREE, "WhoQueued": C.MB_WHO_QUEUED,
		"ResultDone": C.MB_DONE, "ResultClose": C.MB_CLOSE, "ResultReset": C.MB_RESET, "ResultRetire": C.MB_RETIRE, "ResultFailed": C.MB_FAILED,
		"ResultStatusShift": C.MB_STATUS_SHIFT, "ClientGone": C.MB_CLIENT_GONE,
		"OutBodyWanted": C.MB_OUT_BODY_WANTED, "OutPending": C.MB_OUT_PENDING,
		"OutDescriptorWanted": C.MB_OUT_DESCRIPTOR_WANTED, "OutReset": C.MB_OUT_RESET, "KindSocket": C.MB_KIND_SOCKET,
		"OutComplete": C.MB_OUT_COMPLETE, "OutClose": C.MB_OUT_CLOSE, "OutFile": C.MB_OUT_FILE,
		"KindHTTP": C.MB_KIND_HTTP, "KindInterval": C.MB_KIND_INTERVAL, "KindMain": C.MB_KIND_MAIN,
		"HeadIsHead": C.MB_HEAD_IS_HEAD, "HeadHTTP10": C.MB_HEAD_HTTP10, "HeadKeepalive": C.MB_HEAD_KEEPALIVE,
		"HeadExpect": C.MB_HEAD_EXPECT, "HeadAsterisk": C.MB_HEAD_ASTERISK, "HeadHasBody": C.MB_HEAD_HAS_BODY, "HeadLogged": C.MB_HEAD_LOGGED,
		"HeadBodyFile":  C.MB_HEAD_BODY_FILE,
		"HeadSecure":    C.MB_HEAD_SECURE,
		"HeadHTTP2":     C.MB_HEAD_HTTP2,
		"Traceparent":   C.MB_TRACEPARENT_LEN,
		"HeadTLS":       C.MB_HEAD_TLS,
		"LengthUnknown": C.MB_LENGTH_UNKNOWN, "MsgMax": C.MB_MSG_MAX,
		"MsgListen": C.MB_MSG_LISTEN, "MsgReady": C.MB_MSG_READY, "MsgFailed": C.MB_MSG_FAILED,
		"MsgForked": C.MB_MSG_FORKED, "MsgExited": C.MB_MSG_EXITED, "MsgListenOK": C.MB_MSG_LISTEN_OK,
		"MsgListenErr": C.MB_MSG_LISTEN_ERR, "MsgFork": C.MB_MSG_FORK, "MsgKill": C.MB_MSG_KILL,
		"MsgWorkerReady": C.MB_MSG_WORKER_READY, "MsgWorkerFailed": C.MB_MSG_WORKER_FAILED,
		"MsgFiles": C.MB_MSG_FILES, "MsgReport": C.MB_MSG_REPORT, "MsgAccess": C.MB_MSG_ACCESS, "MsgFile": C.MB_MSG_FILE,
		"MsgPurge": C.MB_MSG_PURGE, "MsgDictionary": C.MB_MSG_DICTIONARY, "MsgDictionaryOK": C.MB_MSG_DICTIONARY_OK,
		"MsgTest": C.MB_MSG_TEST, "MsgTester": C.MB_MSG_TESTER, "MsgAsk": C.MB_MSG_ASK, "MsgAskPart": C.MB_MSG_ASK_PART, "MsgTested": C.MB_MSG_TESTED, "AskListMax": C.MB_ASK_LIST_MAX,
		"MsgDeclare": C.MB_MSG_DECLARE, "MsgChannels": C.MB_MSG_CHANNELS, "OutStream": C.MB_OUT_STREAM, "OutStartMessage": C.MB_OUT_START_MESSAGE,
		"OutWebSocket": C.MB_OUT_WEBSOCKET, "KindWebSocket": C.MB_KIND_WEBSOCKET, "AskWSSend": C.MB_ASK_WS_SEND, "AskWSClose": C.MB_ASK_WS_CLOSE,
		"WSOpens": C.MB_WS_OPENS, "WSCloses": C.MB_WS_CLOSES, "WSStrict": C.MB_WS_STRICT, "WSCompress": C.MB_WS_COMPRESS, "WSTakeover": C.MB_WS_TAKEOVER,
		"WSOpen": C.MB_WS_OPEN, "WSMessage": C.MB_WS_MESSAGE, "WSClose": C.MB_WS_CLOSE,
		"WSStateMax": C.MB_WS_STATE_MAX, "WSNameMax": C.MB_WS_NAME_MAX, "WSMessageMax": C.MB_WS_MESSAGE_MAX, "WSRateMax": C.MB_WS_RATE_MAX,
		"WSSendText": C.MB_WS_SEND_TEXT, "WSSendBinary": C.MB_WS_SEND_BINARY, "WSEnd": C.MB_WS_END, "WSState": C.MB_WS_STATE,
		"WSSubscribe": C.MB_WS_SUBSCRIBE, "WSUnsubscribe": C.MB_WS_UNSUBSCRIBE, "WSUnknown": C.MB_WS_UNKNOWN, "WSReceive": C.MB_WS_RECEIVE, "WSDone": C.MB_WS_DONE, "WSMessages": C.MB_WS_MESSAGES, "OutWebSocketBlocking": C.MB_OUT_WEBSOCKET_BLOCKING,
		"AskPublish": C.MB_ASK_PUBLISH, "AskCount": C.MB_ASK_COUNT, "AskPresence": C.MB_ASK_PRESENCE, "AskHistory": C.MB_ASK_HISTORY,
		"AskPosition": C.MB_ASK_POSITION, "AnswerOK": C.MB_ANSWER, "AnswerErr": C.MB_ANSWER_ERR, "AnswerMax": C.MB_ANSWER_MAX,
		"SubscribePoll": C.MB_SUBSCRIBE_POLL, "SubscribeHead": C.MB_SUBSCRIBE_HEAD, "SubscribeHTTP10": C.MB_SUBSCRIBE_HTTP10,
		"SubscribeKeepalive": C.MB_SUBSCRIBE_KEEPALIVE, "SubscribeFirst": C.MB_SUBSCRIBE_FIRST, "SubscribeSilent": C.MB_SUBSCRIBE_SILENT,
		"DictionaryNameMax": C.MB_DICTIONARY_NAME_MAX, "DictionaryMin": C.MB_DICTIONARY_MIN, "DictionaryMax": C.MB_DICTIONARY_MAX, "DictionaryVersion": C.MB_DICTIONARY_VERSION,
		"PurgeKey": C.MB_PURGE_KEY, "PurgePrefix": C.MB_PURGE_PREFIX, "PurgeMax": C.MB_PURGE_MAX, "CtlPurged": C.MB_CTL_PURGED,
		"NotServed":     C.MB_NOT_SERVED,
		"ReportTextMax": C.MB_REPORT_TEXT_MAX,
		"LevelInfo":     C.MB_LEVEL_INFO, "LevelWarn": C.MB_LEVEL_WARN, "LevelError": C.MB_LEVEL_ERROR,
		"CtlFlush": C.MB_CTL_FLUSH, "CtlDescriptor": C.MB_CTL_DESCRIPTOR, "CtlEndInput": C.MB_CTL_END_INPUT,
		"CtlTraceback": C.MB_CTL_TRACEBACK, "CtlClientGone": C.MB_CTL_CLIENT_GONE,
		"TypeNone": C.MB_T_NONE, "TypeBool": C.MB_T_BOOL, "TypeNumber": C.MB_T_NUMBER, "TypeString": C.MB_T_STRING,
		"TypeFunc": C.MB_T_FUNC, "TypeHTTP": C.MB_T_HTTP, "TypeOther": C.MB_T_OTHER,
	}
}

func envInC() [2]string { return [2]string{C.MB_ENV, C.MB_ENV_DEVELOPMENT} }
