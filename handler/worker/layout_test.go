package worker

import (
	"reflect"
	"slices"
	"testing"

	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

// goLayout is what Go says of a struct, as layoutInC: blank fields, which are padding, do not count.
func goLayout(v any) []uintptr {
	t := reflect.TypeOf(v)
	l := []uintptr{t.Size()}
	for i := range t.NumField() {
		if f := t.Field(i); f.Name != "_" {
			l = append(l, f.Offset)
		}
	}
	return l
}

func TestLayout(t *testing.T) {
	inGo := map[string]any{
		"Header": shm.Header{}, "InLoop": shm.InLoop{}, "InWorker": shm.InWorker{}, "InCell": shm.InCell{},
		"OutLoop": shm.OutLoop{}, "OutWorker": shm.OutWorker{}, "OutCell": shm.OutCell{},
		"Address": shm.Address{}, "Head": shm.Head{}, "Field": shm.Field{}, "Msg": shm.Msg{}, "MsgForkBody": shm.MsgForkBody{},
		"MsgForkedBody": shm.MsgForkedBody{}, "MsgExitedBody": shm.MsgExitedBody{},
		"MsgKillBody": shm.MsgKillBody{}, "MsgTestBody": shm.MsgTestBody{}, "MsgReportBody": shm.MsgReportBody{}, "MsgAccessBody": shm.MsgAccessBody{},
		"MsgDictionaryBody": shm.MsgDictionaryBody{}, "MsgDictionaryOKBody": shm.MsgDictionaryOKBody{}, "MsgDeclareBody": shm.MsgDeclareBody{},
		"AskBody": shm.AskBody{}, "AnswerKey": shm.AnswerKey{}, "AnswerMessage": shm.AnswerMessage{},
		"SubscriptionBody": shm.SubscriptionBody{}, "WSAcceptBody": shm.WSAcceptBody{}, "WSEventBody": shm.WSEventBody{}, "WSVerbHead": shm.WSVerbHead{}, "WSRecord": shm.WSRecord{},
		"Entry": shm.Entry{},
	}
	inC := layoutInC()
	if len(inC) != len(inGo) {
		t.Errorf("%d structs in C, %d in Go", len(inC), len(inGo))
	}
	for name, v := range inGo {
		if got := goLayout(v); !slices.Equal(got, inC[name]) {
			t.Errorf("%s: size and offsets %d in Go, %d in C", name, got, inC[name])
		}
	}
	if got := goLayout(httpparse.Field{}); !slices.Equal(got, inC["Field"]) {
		t.Errorf("httpparse.Field: size and offsets %d in Go, %d in C", got, inC["Field"])
	}
}

func TestConstants(t *testing.T) {
	inGo := map[string]uint64{
		"Magic": shm.Magic, "Version": shm.Version,
		"InEnd": shm.InEnd, "InAbort": shm.InAbort, "InCancel": shm.InCancel, "InTooLarge": shm.InTooLarge,
		"InWantRoom": shm.InWantRoom, "InPeerEnd": shm.InPeerEnd, "InReceived": shm.InReceived, "WhoFree": shm.WhoFree, "WhoQueued": shm.WhoQueued,
		"ResultDone": shm.ResultDone, "ResultClose": shm.ResultClose, "ResultReset": shm.ResultReset,
		"ResultRetire": shm.ResultRetire, "ResultFailed": shm.ResultFailed, "ResultStatusShift": shm.ResultStatusShift,
		"ClientGone":    shm.ClientGone,
		"OutBodyWanted": shm.OutBodyWanted, "OutPending": shm.OutPending,
		"OutDescriptorWanted": shm.OutDescriptorWanted, "OutReset": shm.OutReset, "KindSocket": shm.KindSocket,
		"OutComplete": shm.OutComplete, "OutClose": shm.OutClose, "OutFile": shm.OutFile,
		"KindHTTP": shm.KindHTTP, "KindInterval": shm.KindInterval, "KindMain": shm.KindMain,
		"HeadIsHead": shm.HeadIsHead, "HeadHTTP10": shm.HeadHTTP10, "HeadKeepalive": shm.HeadKeepalive,
		"HeadExpect": shm.HeadExpect, "HeadAsterisk": shm.HeadAsterisk, "HeadHasBody": shm.HeadHasBody, "HeadLogged": shm.HeadLogged,
		"HeadBodyFile":  shm.HeadBodyFile,
		"HeadSecure":    shm.HeadSecure,
		"HeadHTTP2":     shm.HeadHTTP2,
		"Traceparent":   httpparse.TraceparentLen,
		"HeadTLS":       shm.HeadTLS,
		"LengthUnknown": shm.LengthUnknown, "MsgMax": shm.MsgMax,
		"MsgListen": shm.MsgListen, "MsgReady": shm.MsgReady, "MsgFailed": shm.MsgFailed, "MsgForked": shm.MsgForked,
		"MsgExited": shm.MsgExited, "MsgListenOK": shm.MsgListenOK, "MsgListenErr": shm.MsgListenErr,
		"MsgFork": shm.MsgFork, "MsgKill": shm.MsgKill, "MsgWorkerReady": shm.MsgWorkerReady,
		"MsgReport": shm.MsgReport, "MsgAccess": shm.MsgAccess, "MsgFile": shm.MsgFile, "NotServed": shm.NotServed, "ReportTextMax": shm.ReportTextMax,
		"MsgPurge": shm.MsgPurge, "MsgDictionary": shm.MsgDictionary, "MsgDictionaryOK": shm.MsgDictionaryOK,
		"MsgTest": shm.MsgTest, "MsgTester": shm.MsgTester, "MsgAsk": shm.MsgAsk, "MsgAskPart": shm.MsgAskPart, "MsgTested": shm.MsgTested, "AskListMax": shm.AskListMax,
		"MsgDeclare": shm.MsgDeclare, "MsgChannels": shm.MsgChannels, "OutStream": shm.OutStream, "OutStartMessage": shm.OutStartMessage,
		"OutWebSocket": shm.OutWebSocket, "KindWebSocket": shm.KindWebSocket, "AskWSSend": shm.AskWSSend, "AskWSClose": shm.AskWSClose, "WSOpens": shm.WSOpens,
		"WSCloses": shm.WSCloses, "WSStrict": shm.WSStrict, "WSCompress": shm.WSCompress, "WSTakeover": shm.WSTakeover, "WSOpen": shm.WSOpen,
		"WSMessage": shm.WSMessage, "WSClose": shm.WSClose, "WSStateMax": shm.WSStateMax, "WSNameMax": shm.WSNameMax, "WSMessageMax": shm.WSMessageMax, "WSRateMax": shm.WSRateMax,
		"WSSendText": shm.WSSendText, "WSSendBinary": shm.WSSendBinary, "WSEnd": shm.WSEnd, "WSState": shm.WSState, "WSSubscribe": shm.WSSubscribe,
		"WSUnsubscribe": shm.WSUnsubscribe, "WSUnknown": shm.WSUnknown, "WSReceive": shm.WSReceive, "WSDone": shm.WSDone, "WSMessages": shm.WSMessages, "OutWebSocketBlocking": shm.OutWebSocketBlocking,
		"AskPublish": shm.AskPublish, "AskCount": shm.AskCount, "AskPresence": shm.AskPresence, "AskHistory": shm.AskHistory,
		"AskPosition": shm.AskPosition, "AnswerOK": shm.AnswerOK, "AnswerErr": shm.AnswerErr, "AnswerMax": shm.AnswerMax,
		"SubscribePoll": shm.SubscribePoll, "SubscribeHead": shm.SubscribeHead, "SubscribeHTTP10": shm.SubscribeHTTP10,
		"SubscribeKeepalive": shm.SubscribeKeepalive, "SubscribeFirst": shm.SubscribeFirst, "SubscribeSilent": shm.SubscribeSilent,
		"DictionaryNameMax": shm.DictionaryNameMax, "DictionaryMin": shm.DictionaryMin, "DictionaryMax": shm.DictionaryMax, "DictionaryVersion": shm.DictionaryVersion,
		"PurgeKey": shm.PurgeKey, "PurgePrefix": shm.PurgePrefix, "PurgeMax": shm.PurgeMax, "CtlPurged": shm.CtlPurged,
		"LevelInfo": shm.LevelInfo, "LevelWarn": shm.LevelWarn, "LevelError": shm.LevelError,
		"MsgFiles": shm.MsgFiles, "MsgWorkerFailed": shm.MsgWorkerFailed, "CtlFlush": shm.CtlFlush, "CtlDescriptor": shm.CtlDescriptor, "CtlEndInput": shm.CtlEndInput, "CtlTraceback": shm.CtlTraceback, "CtlClientGone": shm.CtlClientGone,
		"TypeNone": shm.TypeNone, "TypeBool": shm.TypeBool, "TypeNumber": shm.TypeNumber,
		"TypeString": shm.TypeString, "TypeFunc": shm.TypeFunc, "TypeHTTP": shm.TypeHTTP, "TypeOther": shm.TypeOther,
	}
	inC := constantsInC()
	if len(inC) != len(inGo) {
		t.Errorf("%d constants in C, %d in Go", len(inC), len(inGo))
	}
	for name, v := range inGo {
		if got, ok := inC[name]; !ok || got != v {
			t.Errorf("%s: %#x in Go, %#x in C", name, v, got)
		}
	}
	if want := [2]string{shm.Env, shm.EnvDevelopment}; envInC() != want {
		t.Errorf("environment: %q in Go, %q in C", want, envInC())
	}
}
